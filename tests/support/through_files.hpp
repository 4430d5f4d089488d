// SPDX-License-Identifier: MIT
#pragma once
// Whole models through files: what is masked, what is merged while it is masked, and what has left, each is written as one function.
#include <doctest/doctest.h>

#include <espalier/model/load.hpp>
#include <espalier/model/save.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "golden.hpp"
#include "model_files.hpp"
#include "temporary_directory.hpp"
#include "whole_model.hpp"

namespace espalier::test {

/// A checkpoint with its adapters drawn and units masked, written in these layouts and read again, without adapters and with
/// some that have learnt nothing yet.
template <class Model, class Batch>
void expect_through_files(const std::string& checkpoint, const Batch& batch, std::initializer_list<Layout> layouts) {
  CAPTURE(checkpoint);
  typename Model::DeviceType device;
  const TemporaryDirectory folder;
  const auto adapted = [&](const std::string& directory) { return load<Model>(device, directory, {.rank = 2}); };
  const auto drawn = [&] {
    auto model = adapted(golden_directory(checkpoint));
    std::uint64_t seed = 50;
    for_each_parameter(model, [&](const std::string&, auto& p) { fill(p.value.data, p.size(), ++seed); });
    return model;
  };
  auto model = drawn(), left = drawn();
  const auto whole = logits_of(model, batch);
  mask_some(model), mask_some(left);
  const auto masked = logits_of(model, batch);
  CHECK(relative_error(masked, whole) > 1e-3);
  const auto expect = [&](Model& of, const std::string& when) {
    CAPTURE(when);
    CHECK(relative_error(logits_of(of, batch), masked) <= 1e-12);
    for (const Layout layout : layouts) {
      const std::string directory = folder / (when + ", " + std::string(name_of(layout)));
      CAPTURE(directory);
      CHECK(save(of, directory, {.layout = layout, .dtype = Dtype::f64}).layout == layout);
      auto again = adapted(directory);
      CHECK(relative_error(logits_of(again, batch), masked) <= 1e-12);
      auto plain = load<Model>(device, directory, {.targets = {"none of them"}});
      CHECK(count_trainable(plain) < count_trainable(again));
      CHECK(relative_error(logits_of(plain, batch), masked) <= 1e-12);
    }
    CHECK(relative_error(logits_of(of, batch), masked) <= 1e-12);  // saving changes nothing
  };
  expect(model, "masked");
  merge(model);
  expect(model, "merged");
  compact(model);
  expect(model, "merged and compacted");
  compact(left);
  expect(left, "compacted");

  // Each layer as it is, and the adapters beside it.
  for (const Layout layout : layouts) {
    if (layout != Layout::compact) continue;
    save(left, folder / "base", {.layout = layout, .dtype = Dtype::f64, .merge = false});
    auto again = adapted(folder / "base");
    CHECK(relative_error(logits_of(again, batch), masked) > 1e-3);
    std::vector<std::vector<double>> learnt;
    for_each_parameter(left, [&](const std::string&, auto& p) { learnt.emplace_back(p.value.data, p.value.data + p.size()); });
    std::size_t i = 0;
    for_each_parameter(again, [&](const std::string&, auto& p) {
      REQUIRE(Index(learnt[i].size()) == p.size());
      device.upload(p.value.data, learnt[i++].data(), p.size());
    });
    CHECK(relative_error(logits_of(again, batch), masked) <= 1e-12);
  }
}

}  // namespace espalier::test
