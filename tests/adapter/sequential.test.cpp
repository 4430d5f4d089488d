// SPDX-License-Identifier: MIT
// The adapter behind the weight: the oracle's numbers.
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("loss, gradients, merged weight and bias, and scores are the oracle's") {
  const auto& json = oracle_numbers()["sequential"];
  const SequentialCase c;
  Oracle<double> device;
  auto model = c.model(device, Axis::rows, 1);
  CHECK(numbers(json["W0"]) == c.w);
  CHECK(numbers(json["y"]) == c.y);
  CHECK(std::abs(model.loss(c.x, c.y) - json["loss"].get<double>()) <= 1e-12);
  const auto& adapter = model.projection.adapter;
  CHECK(relative_error(as_doubles(adapter.a.grad), numbers(json["grad_A"])) <= 1e-12);
  CHECK(relative_error(as_doubles(adapter.b.grad), numbers(json["grad_B"])) <= 1e-12);

  CHECK(relative_error(unit_scores(model, TaylorImportance{}), numbers(json["groups_seq_sq"]["rows"])) <= 1e-12);
  auto columns = c.model(device, Axis::columns, 1);
  columns.loss(c.x, c.y);
  CHECK(relative_error(unit_scores(columns, TaylorImportance{}), numbers(json["groups_seq_sq"]["cols"])) <= 1e-12);
  const auto row_sums = [&](const nlohmann::json& matrix) {
    std::vector<double> sums;
    for (const auto& row : matrix) {
      sums.push_back(0);
      for (const auto& x : row) sums.back() += x.get<double>();
    }
    return sums;
  };
  CHECK(relative_error(unit_scores(model, TaylorImportance{.scaled = true}),
                       row_sums(json["importance"]["seq_sq_scaled"])) <= 1e-12);

  merge(model);
  CHECK(relative_error(as_doubles(model.projection.weight.view()), numbers(json["W_merged"])) <= 1e-12);
  CHECK(relative_error(as_doubles(model.projection.bias.view()), numbers(json["b_merged"])) <= 1e-12);
  CHECK(std::abs(model.loss(c.x, c.y) - json["loss"].get<double>()) <= 1e-12);
  unmerge(model);
  CHECK(relative_error(as_doubles(model.projection.weight.view()), c.w) <= 1e-12);
  CHECK(relative_error(as_doubles(model.projection.bias.view()), c.bias) <= 1e-12);
}

TEST_CASE("exact scores: full and signed, of the merged weight") {
  const auto& json = oracle_numbers()["sequential"];
  const auto g = numbers(json["G_full"]), w = numbers(json["W_merged"]);
  const SequentialCase c;
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    Oracle<double> device;
    const std::size_t units = std::size_t(axis == Axis::rows ? c.out : c.in);
    std::vector<double> full(units), sums(units);
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j) {
        const double term = g[std::size_t(i * c.in + j)] * w[std::size_t(i * c.in + j)];
        const auto u = std::size_t(axis == Axis::rows ? i : j);
        full[u] += term * term, sums[u] += term;
      }
    for (double& s : sums) s *= s;
    const auto scores = [&](auto importance) {
      auto model = c.model(device, axis, 1);
      return group_scores(model, importance, Normalise::none, [&] { model.loss(c.x, c.y); }).front();
    };
    CHECK(relative_error(scores(FullTaylorImportance{}), full) <= 1e-12);
    CHECK(relative_error(scores(SignedTaylorImportance{}), sums) <= 1e-12);
  }
}
