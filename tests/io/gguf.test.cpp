// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/io/gguf.hpp>
#include <limits>
#include <string>
#include <vector>

#include "support/temporary_directory.hpp"

using namespace espalier;
using test::slurp, test::TemporaryDirectory;

namespace {

GgufMetadata nothing() { return {}; }

std::string written(const GgufMetadata& about, const std::vector<TensorSpec>& specs) {
  const TemporaryDirectory folder;
  write_gguf(folder / "x.gguf", about, specs, [](const TensorInfo& tensor, auto& sink) {
    std::vector<float> ramp;
    for (Index i = 0; i < tensor.elements(); ++i) ramp.push_back(float(i) / 3 - 2);
    sink.write_numbers(std::span<const float>(ramp), tensor.dtype);
  });
  CHECK(folder.entries() == 1);
  return slurp(folder / "x.gguf");
}

}  // namespace

TEST_CASE("every kind of value and of tensor is what the reference writer makes of it, byte for byte") {
  GgufMetadata about;
  about.set("general.architecture", "llama");
  about.set("a.text", "espalier: h\u00e9llo \u2581 \n");
  about.count("a.count", 4294967295);
  about.set("a.number", 0.1f);
  about.set("a.yes", true);
  about.set("a.no", false);
  about.set("a.integers", std::vector<std::int32_t>{3, -1, 2147483647});
  about.set("a.numbers", std::vector<float>{0.5f, -1e30f, 3.25f});
  about.set("a.texts", std::vector<std::string>{"x", "b", "\u00fc\u00fc"});
  CHECK(about.contains("a.yes"));
  CHECK_FALSE(about.contains("a.maybe"));
  const std::string bytes = written(about, {{"vector", Dtype::f32, {5}},
                                            {"half.weight", Dtype::f16, {4, 6}},
                                            {"blk.0.short.weight", Dtype::bf16, {3, 7}},
                                            {"whole.weight", Dtype::f32, {1, 8}},
                                            {"cube", Dtype::f32, {2, 3, 4}}});
  CHECK((bytes == slurp(std::string(ESPALIER_TEST_DATA) + "/gguf/container.gguf")));
}

TEST_CASE("a file without anything is its head alone, filled up") {
  std::string head("GGUF\3\0\0\0", 8);
  head.resize(32, '\0');
  CHECK((written(nothing(), {}) == head));
}

TEST_CASE("what no reader would take is refused, and nothing is written") {
  const TemporaryDirectory folder;
  const auto refused = [&](const std::vector<TensorSpec>& specs, const char* words) {
    CAPTURE(words);
    CHECK_THROWS_WITH_AS(write_gguf(folder / "x.gguf", nothing(), specs, [](const TensorInfo&, auto&) {}), doctest::Contains(words), Error);
  };
  const std::string most(63, 'n');
  refused({{"w", Dtype::f64, {2}}}, "F32, F16 and BF16, not F64");
  refused({{"w", Dtype::i32, {2}}}, "not I32");
  refused({{"w", Dtype::f32, {2, 0}}}, "would be empty");
  refused({{"w", Dtype::f32, {-1}}}, "would be empty");
  refused({{"w", Dtype::f32, {}}}, "0 dimensions");
  refused({{"w", Dtype::f32, {1, 1, 1, 1, 1}}}, "5 dimensions");
  refused({{"w", Dtype::f32, {Index{1} << 40, Index{1} << 40}}}, "does not fit");
  refused({{"w", Dtype::f32, {2}}, {"w", Dtype::f32, {2}}}, "is there twice");
  refused({{"", Dtype::f32, {2}}}, "1 to 63 bytes");
  refused({{most + "n", Dtype::f32, {2}}}, "1 to 63 bytes");
  refused({{most, Dtype::f32, {2}}}, "8 bytes of 8 were not given");
  CHECK(folder.entries() == 0);

  GgufMetadata about;
  about.set("key", true);
  CHECK_THROWS_WITH_AS(about.set("key", false), doctest::Contains("set twice"), Error);
  CHECK_THROWS_WITH_AS(about.set("", false), doctest::Contains("key of 0 bytes"), Error);
  CHECK_THROWS_WITH_AS(about.count("n", -1), doctest::Contains("does not fit 32 bits"), Error);
  CHECK_THROWS_WITH_AS(about.count("n", Index{1} << 32), doctest::Contains("does not fit 32 bits"), Error);
}
