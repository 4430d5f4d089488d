// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/io/safetensors.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <map>
#include <string>

#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

const std::string data = test::safetensors_golden("");

struct MemoryOutput {
  std::string text;
  void write(std::span<const std::byte> bytes) { text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
  void write(std::string_view more) { text += more; }
};

}  // namespace

TEST_CASE("the reference's own test vectors are read and written byte for byte") {
  const auto write = [](const std::vector<TensorSpec>& specs, const Metadata& metadata) {
    MemoryOutput out;
    stream_safetensors(out, specs, metadata, [](const TensorInfo& tensor, auto& sink) {
      std::vector<float> ramp(static_cast<std::size_t>(tensor.elements()));
      for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i);
      sink.write_numbers(std::span<const float>(ramp), tensor.dtype);
    });
    return out.text;
  };
  const float ramp[6] = {0, 1, 2, 3, 4, 5};
  const std::string body(reinterpret_cast<const char*>(ramp), sizeof ramp);
  CHECK(write({}, {}) == file("{}      "));
  CHECK(write({}, {{"framework", "pt"}}) == file(R"({"__metadata__":{"framework":"pt"}}     )"));
  CHECK(write({{"attn.0", Dtype::f32, {1, 2, 3}}}, {}) == file(R"({"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}})", body));
  CHECK(write({{"attn0", Dtype::f32, {1, 1, 2, 3}}}, {}) == file(R"({"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       )", body));
  CHECK(write({}, {}) == test::slurp(data + "empty.safetensors"));
  CHECK(write({}, {{"framework", "pt"}}) == test::slurp(data + "metadata_only.safetensors"));
  CHECK(write({{"attn.0", Dtype::f32, {1, 2, 3}}}, {}) == test::slurp(data + "one_f32.safetensors"));
  CHECK(write({{"attn0", Dtype::f32, {1, 1, 2, 3}}}, {}) == test::slurp(data + "padded.safetensors"));
}

TEST_CASE("files of the reference writer are written again byte for byte") {
  const test::TemporaryDirectory folder;
  for (const std::string name : test::safetensors_names) {
    CAPTURE(name);
    const SafetensorsFile original(data + name + ".safetensors");
    std::vector<TensorSpec> specs;
    for (const TensorInfo& tensor : original.tensors()) specs.push_back({tensor.name, tensor.dtype, tensor.shape});
    std::reverse(specs.begin(), specs.end());  // the writer finds the order by itself
    const std::string copy = folder / (name + ".safetensors");
    write_safetensors(copy, specs, original.metadata(), [&](const TensorInfo& tensor, auto& sink) {
      std::vector<std::byte> bytes(tensor.bytes);
      original.read(tensor.name, bytes);
      const std::span all(bytes);
      sink.write(all.first(all.size() / 3));  // in two pieces
      sink.write(all.subspan(all.size() / 3));
    });
    CHECK(test::slurp(copy) == test::slurp(original.path()));
    CHECK(SafetensorsFile(copy).metadata() == original.metadata());
  }
}

TEST_CASE("what could not be read back is not written, and a writer that fails leaves the old file") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "model.safetensors";
  test::spill(path, "old");
  const auto zeros = [](const TensorInfo& tensor, auto& sink) { sink.write(std::vector<std::byte>(tensor.bytes)); };
  const auto refuses = [&](const std::vector<TensorSpec>& specs, auto&& fill) {
    CHECK_THROWS_AS(write_safetensors(path, specs, {}, fill), Error);
    CHECK(test::slurp(path) == "old");
    CHECK(folder.entries() == 1);
  };
  refuses({{"a", Dtype::f32, {1}}, {"a", Dtype::f32, {1}}}, zeros);
  refuses({{"a", Dtype::f32, {1}}, {"a", Dtype::f64, {1}}}, zeros);
  refuses({{"__metadata__", Dtype::f32, {1}}}, zeros);
  refuses({{"a\n", Dtype::f32, {1}}}, zeros);
  refuses({{"\xff", Dtype::f32, {1}}}, zeros);
  refuses({{"a", Dtype::f32, {-1}}}, zeros);
  refuses({{"a", Dtype::f32, {Index{1} << 40, Index{1} << 40}}}, zeros);
  refuses({{"a", Dtype::f32, {1, 1, 1, 1, 1, 1, 1, 1, 1}}}, zeros);
  refuses({{"a", Dtype::f4, {3}}}, zeros);
  refuses({{"a", Dtype::f32, {2}}}, [](const TensorInfo&, auto& sink) { sink.write(std::vector<std::byte>(4)); });
  refuses({{"a", Dtype::f32, {2}}}, [](const TensorInfo&, auto& sink) { sink.write(std::vector<std::byte>(9)); });
  refuses({{"a", Dtype::f32, {2}}}, [](const TensorInfo&, auto&) { fail(Errc::numerical, "stop"); });
}

TEST_CASE("what is accepted can be written again, the oddest shapes too") {
  const std::string odd = with_shape("[1294967296,4294967296,0]", "F32", "[0,0]", 0);  // found by fuzzing
  REQUIRE(accepted(odd));
  const TensorInfo tensor = parse_safetensors(bytes_of(odd)).tensors.front();
  CHECK(lay_out_safetensors({{tensor.name, tensor.dtype, tensor.shape}}).bytes == 0);
  CHECK(tensor.elements() == 0);
}

TEST_CASE("ten thousand random tables of tensors are written, read and written again without a changed byte") {
  std::uint64_t state = 7;
  const auto random = [&](std::uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  const Dtype kinds[] = {Dtype::boolean, Dtype::u8, Dtype::f8_e4m3, Dtype::i16, Dtype::f16, Dtype::bf16, Dtype::f32, Dtype::f64, Dtype::i64};
  const std::string pieces[] = {"model.", "layers.", "0", "1", "10", ".weight", "\"", "\\", "\xc3\xa9", "A", "a", "/", "~"};
  for (int round = 0; round < 10'000; ++round) {
    std::map<std::string, TensorSpec> specs;
    for (auto n = random(6); n > 0; --n) {
      std::string name;
      for (auto k = random(4); k > 0; --k) name += pieces[random(std::size(pieces))];
      TensorSpec spec{name, kinds[random(std::size(kinds))], {}};
      for (auto k = random(4); k > 0; --k) spec.shape.push_back(static_cast<Index>(random(4)));
      specs[name] = spec;
    }
    std::map<std::string, std::string> table;
    for (auto n = random(4); n > 0; --n) table[pieces[random(std::size(pieces))]] = pieces[random(std::size(pieces))] + "\n\t\x01";
    std::vector<TensorSpec> list;
    for (const auto& [name, spec] : specs) list.push_back(spec);
    const auto write = [&](const std::vector<TensorSpec>& what, const Metadata& metadata) {
      MemoryOutput out;
      stream_safetensors(out, what, metadata, [&](const TensorInfo& tensor, auto& sink) {
        sink.write(std::vector<std::byte>(tensor.bytes, static_cast<std::byte>(tensor.name.size())));
      });
      return out.text;
    };
    const std::string first = write(list, Metadata(table.begin(), table.end()));
    const SafetensorsHeader header = parse_safetensors(bytes_of(first));
    REQUIRE(consistent(first));
    REQUIRE(header.data_begin % 8 == 0);
    REQUIRE(header.tensors.size() == specs.size());
    std::vector<TensorSpec> again;
    for (const TensorInfo& tensor : header.tensors) {
      REQUIRE(specs.at(tensor.name).shape == tensor.shape);
      REQUIRE(specs.at(tensor.name).dtype == tensor.dtype);
      again.push_back({tensor.name, tensor.dtype, tensor.shape});
    }
    REQUIRE(write(again, header.metadata) == first);
  }
}
