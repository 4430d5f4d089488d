// SPDX-License-Identifier: MIT
#pragma once
// Where a model drops something while it is trained: what transformers loses when all of it is dropped, place by place.
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/io/json_file.hpp>
#include <espalier/model/load.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// A name of tests/data/dropout.json, made by tests/python/make_dropout_golden.py, and who drops there.
template <class Model>
struct DroppingPlace {
  const char* name;
  void (*set)(Model&, double p);
};

/// The places of every model, and those of its own. p is as good as 1: of the few numbers of these models none is kept.
template <class Model, class Golden>
void expect_dropped(const std::string& name, const Golden& golden, const std::vector<DroppingPlace<Model>>& own = {}) {
  CAPTURE(name);
  std::vector<DroppingPlace<Model>> places{
      {"embeddings",
       [](Model& m, double p) {
         if constexpr (requires { m.stem; }) m.stem.dropout.p = p;
         else m.model.dropout.p = p;
       }},
      {"probabilities",
       [](Model& m, double p) {
         for (auto& block : m.blocks()) {
           if constexpr (requires { block.attention; }) block.attention.dropout.p = p;
           else block.self_attn.dropout.p = p;
         }
       }},
      {"attention_output", [](Model& m, double p) { for (auto& block : m.blocks()) block.attention_dropout.p = p; }},
      {"mlp_output", [](Model& m, double p) { for (auto& block : m.blocks()) block.output_dropout.p = p; }}};
  places.insert(places.end(), own.begin(), own.end());
  const json::Value losses = json::read_file(ESPALIER_TEST_DATA "/dropout.json").at("losses").at(name);
  CHECK(losses.size() == Index(places.size()));
  typename Model::DeviceType device;
  auto model = load<Model>(device, golden.directory, {.rank = 1}, 0);
  const double whole = model.loss(golden.batch());
  for (const auto& place : places) {
    CAPTURE(place.name);
    place.set(model, 1 - 1e-10);
    const double loss = model.loss(golden.batch());
    place.set(model, 0);
    CHECK(loss == doctest::Approx(losses.number(place.name)).epsilon(1e-12));
    CHECK(std::abs(loss - whole) > 1e-4);
  }
}

}  // namespace espalier::test
