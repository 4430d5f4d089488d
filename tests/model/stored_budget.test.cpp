// SPDX-License-Identifier: MIT
// Budgets of what is stored, held against directories that are really written.
#include <doctest/doctest.h>

#include <espalier/model/stored_budget.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/pruner.hpp>

#include "compiled_bert.hpp"
#include "compiled_files.hpp"
#include "compiled_gpt2.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::Index;
using esp::test::Golden, esp::test::TemporaryDirectory;
using Device = esp::Cpu<float>;
using Llama = esp::Llama<Device, esp::LowRankAdapter>;

namespace {

/// Prunes to a share of what can leave, writes, and compares what was promised with what is there.
template <class Model>
void check(const std::string& directory, esp::Layout layout, std::optional<esp::Dtype> dtype, esp::PrunerOptions options, bool bytes) {
  typename Model::DeviceType device;
  auto model = esp::load<Model>(device, directory, {.rank = 2});
  if (bytes) options.target.budget = esp::stored_bytes(model, model.source, dtype);
  options.target.widths = esp::stored_widths(model, layout, /*alike=*/true), options.every = 1;
  const double dense = esp::count(options.target.budget, model);
  options.target.left = dense;
  const auto pruned = [&] {
    esp::Pruner pruner(model, esp::RandomImportance{}, esp::EMAMask{.decay = 0}, esp::LinearSchedule{.end = 1}, options);
    pruner.step();
    return pruner.report();
  };
  const esp::PruneReport range = pruned();
  REQUIRE(range.least < dense);
  for (const double share : {0.2, 0.5, 0.9}) {
    CAPTURE(share);
    auto again = esp::load<Model>(device, directory, {.rank = 2});
    options.target.left = std::floor(dense - share * (dense - range.least));
    esp::Pruner pruner(again, esp::RandomImportance{}, esp::EMAMask{.decay = 0}, esp::LinearSchedule{.end = 1}, options);
    pruner.step();
    const esp::PruneReport r = pruner.report();
    CHECK(std::abs(r.left - options.target.left) <= r.smallest_step);
    const TemporaryDirectory out;
    const auto written = esp::save(again, out / "model", {.layout = layout, .dtype = dtype});
    CHECK(r.left == (bytes ? double(written.bytes) : double(written.parameters)));
    double stored = 0;  // of the file: all but its header
    for (const std::string& name : written.weights) {
      const auto file = esp::test::slurp(out / ("model/" + name));
      std::uint64_t header = 0;
      for (std::size_t i = 8; i-- > 0;) header = header << 8 | std::uint64_t(std::uint8_t(file[i]));
      stored += double(file.size()) - 8 - double(header);
    }
    CHECK(double(written.bytes) == stored);
  }
}

}  // namespace

TEST_CASE("what a budget says is stored is what the file holds, whatever its layout and its numbers") {
  for (const char* name : {"llama-gqa", "llama-bf16", "llama-bias", "llama-tied"})
    for (const bool bytes : {true, false}) {
      CAPTURE(name);
      CAPTURE(bytes);
      const std::string directory = Golden(name).directory;
      check<Llama>(directory, esp::Layout::automatic, {}, {}, bytes);
      check<Llama>(directory, esp::Layout::uniform, esp::Dtype::bf16, {.uniform = true}, bytes);
      check<Llama>(directory, esp::Layout::padded, {}, {}, bytes);
      check<Llama>(directory, esp::Layout::automatic, {}, {.revival = esp::Revival::ema, .round_to = 2}, bytes);
    }
}

TEST_CASE("heads of a GPT-2 keep their places in the file, so that a budget of it takes channels alone") {
  const std::string directory = esp::test::golden_directory("gpt2");
  for (const bool bytes : {true, false}) {
    check<esp::test::CpuGpt2<float>>(directory, esp::Layout::automatic, {}, {}, bytes);
    check<esp::test::CpuGpt2<float>>(directory, esp::Layout::padded, esp::Dtype::f16, {.round_to = 3}, bytes);
  }
  Device device;
  auto model = esp::load<esp::test::CpuGpt2<float>>(device, directory, {.rank = 2});
  const auto widths = esp::stored_widths(model, esp::Layout::automatic, true);
  for (std::size_t n = 1; n < widths.at("heads").size(); ++n) CHECK(widths.at("heads")[n] == widths.at("heads").back());
  CHECK(widths.at("channels")[5] == 5);
}

TEST_CASE("the head of a task is part of the file, and of its budget") {
  using Roberta = esp::test::RobertaClasses<double>;  // all of its head is trained
  const std::string directory = esp::test::golden_directory("roberta-classes");
  for (const bool bytes : {false, true}) check<Roberta>(directory, esp::Layout::automatic, esp::Dtype::f16, {}, bytes);
}

TEST_CASE("where every layer is stored as wide as the widest, an excluded one leaves nothing to gain") {
  const std::string directory = Golden("llama-gqa").directory;
  Device device;
  auto model = esp::load<Llama>(device, directory, {.rank = 2});
  esp::PrunerOptions options{.exclude = {0}};
  options.target = {.left = 0.9 * double(esp::count_parameters(model)), .widths = esp::stored_widths(model, esp::Layout::automatic, false)};
  CHECK_THROWS_WITH_AS(esp::Pruner(model, esp::RandomImportance{}, esp::EMAMask{}, esp::LinearSchedule{.end = 1}, options),
                       doctest::Contains("stored as wide as the widest"), esp::Error);
}
