// SPDX-License-Identifier: MIT
// A checkpoint that is fine-tuned in full: read, trained, cut and written like one with low-rank adapters.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/adapter/full.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/save.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/train/adamw.hpp>

#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::relative_gap, esp::test::TemporaryDirectory;

TEST_CASE("a checkpoint learns in full, and what is written, masked and compacted, is what it has become") {
  using Device = esp::Cpu<float>;
  const Golden golden("llama-gqa");
  Device device;
  auto model = esp::load<esp::Llama<Device, esp::FullAdapter>>(device, golden.directory);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), golden.numbers("logits")) < 1e-5);
  const double before = model.evaluate(golden.batch());
  esp::AdamW optimizer(model);
  for (int step = 0; step < 5; ++step) {
    static_cast<void>(double(model.loss(golden.batch())));
    optimizer.step(1e-3);
  }
  CHECK(double(model.evaluate(golden.batch())) < before - 0.1);

  model.groups([&](auto group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    if (group.kind == "channels") alive[1] = alive[4] = 0;
    group.mask->set(device, alive);
  });
  const auto logits = model.logits(golden.tokens, golden.shape);
  const TemporaryDirectory folder;
  const auto written = [&](const char* name) {
    esp::save(model, folder / name);
    auto frozen = esp::load<esp::Llama<Device, esp::Frozen>>(device, folder / name);
    return frozen.logits(golden.tokens, golden.shape);
  };
  CHECK(relative_gap(written("masked"), logits) < 1e-5);
  esp::compact(model);
  CHECK(relative_gap(model.logits(golden.tokens, golden.shape), logits) < 1e-5);
  CHECK(relative_gap(written("compacted"), logits) < 1e-5);
}
