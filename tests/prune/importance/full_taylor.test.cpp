// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/full_taylor.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"
#include "watched_memory.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

TEST_CASE_TEMPLATE("rows, columns and heads of the exact score are the oracle's", Device, DEVICES) {
  const auto& groups = oracle_numbers()["parallel"]["groups"]["full_taylor_sq"];
  const ParallelCase c;
  for (const auto& [key, axis, width, normalise] :
       {std::tuple{"rows_out_channels", Axis::rows, 1, Normalise::none},
        std::tuple{"cols_in_channels", Axis::columns, 1, Normalise::none},
        std::tuple{"head_rows_dim2", Axis::rows, 2, Normalise::none},
        std::tuple{"head_cols_dim2", Axis::columns, 2, Normalise::none},
        std::tuple{"rows_l2normalised", Axis::rows, 1, Normalise::all},
        std::tuple{"head_rows_l2normalised", Axis::rows, 2, Normalise::all}}) {
    const std::string where = key;
    CAPTURE(where);
    Device device;
    auto model = c.model(device, axis, width);
    const auto got = group_scores(model, FullTaylorImportance{}, normalise, [&] { model.loss(c.x, c.y); });
    CHECK(relative_error(got.front(), numbers(groups[key])) <= 1e-12);
  }
}

namespace {

/// The score from a gradient that is stored in full, on the oracle.
std::vector<double> dense(Single<Oracle<double>>& model, const std::vector<double>& x, const std::vector<double>& y,
                          Power power) {
  const auto& p = model.projection;
  const Index in = p.in(), out = p.out(), n = Index(x.size()) / in;
  std::vector<double> score(std::size_t(model.units.units()));
  Pass<Oracle<double>> pass(model.run.workspace, {});
  const auto w = espalier::detail::effective_weight(pass, p);
  std::vector<double> dz(std::size_t(n * out));
  for (Index t = 0; t < n; ++t)
    for (Index i = 0; i < out; ++i) {
      double z = p.bias.empty() ? 0 : p.bias.view()(i);
      for (Index j = 0; j < in; ++j) z += x[std::size_t(t * in + j)] * w(i, j);
      dz[std::size_t(t * out + i)] = (z - y[std::size_t(t * out + i)]) / double(n);
    }
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j) {
      double g = 0;
      for (Index t = 0; t < n; ++t) g += dz[std::size_t(t * out + i)] * x[std::size_t(t * in + j)];
      const double e = g * w(i, j);
      score[std::size_t((model.axis == Axis::rows ? i : j) / model.width)] +=
          power == Power::square ? e * e : std::abs(e);
    }
  return score;
}

template <class Device>
Single<Device> random_model(Device& device, Index out, Index in, Axis axis, Index width) {
  Single<Device> model(device, out, in, true, {.rank = 2, .alpha = 3}, axis, width);
  randomise(model, 5);
  return model;
}

}  // namespace

TEST_CASE_TEMPLATE("streamed in panels the exact score equals that of a stored gradient", Device, DEVICES) {
  const Index out = 600, in = 70, tokens = 4;
  REQUIRE(FullTaylorImportance::panel_rows(in, out) < out);  // several panels, the last one short
  REQUIRE(out % FullTaylorImportance::panel_rows(in, out) != 0);
  SplitMix64 random(4);
  const auto x = random.uniform(tokens * in), y = random.uniform(tokens * out);
  for (const Axis axis : {Axis::rows, Axis::columns})
    for (const Power power : {Power::square, Power::abs}) {
      Oracle<double> reference;
      auto trusted = random_model(reference, out, in, axis, 2);
      Device device;
      auto model = random_model(device, out, in, axis, 2);
      const auto got = group_scores(model, FullTaylorImportance{power}, Normalise::none, [&] { model.loss(x, y); });
      CHECK(relative_error(got.front(), dense(trusted, x, y, power)) <= 1e-12);
    }
}

TEST_CASE("with several micro-batches it is the mean of their scores") {
  const Index out = 6, in = 8;
  SplitMix64 random(9);
  const auto x1 = random.uniform(3 * in), y1 = random.uniform(3 * out), x2 = random.uniform(3 * in),
             y2 = random.uniform(3 * out);
  Oracle<double> device;
  auto model = random_model(device, out, in, Axis::rows, 1);
  const auto got =
      group_scores(model, FullTaylorImportance{}, Normalise::none, [&] { model.loss(x1, y1), model.loss(x2, y2); });
  auto want = dense(model, x1, y1, Power::square);
  const auto second = dense(model, x2, y2, Power::square);
  for (std::size_t u = 0; u < want.size(); ++u) want[u] = (want[u] + second[u]) / 2;
  CHECK(relative_error(got.front(), want) <= 1e-12);
}

TEST_CASE("extra memory does not grow with out x in") {
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    const WatchedMemory few = watched_memory<FullTaylorImportance>(axis, 2048), many = watched_memory<FullTaylorImportance>(axis, 8192);  // rows
    CHECK(few.stack > 0);
    CHECK(few.stack == many.stack);
    CHECK(few.beside == many.beside);
  }
}
