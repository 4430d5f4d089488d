// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <array>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/taylor.hpp>

#include "allocations.hpp"
#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "scores.hpp"
#include "sequential_scores.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

TEST_CASE_TEMPLATE("rows, columns and heads of the LoRA-guided score are the oracle's", Device, DEVICES) {
  const auto& groups = oracle_numbers()["parallel"]["groups"];
  const ParallelCase c;
  for (const auto& [name, importance] : {std::pair{"lora_sq", TaylorImportance{}},
                                         std::pair{"lora_abs_official", TaylorImportance{.power = Power::abs}}}) {
    for (const auto& [key, axis, width, normalise] :
         {std::tuple{"rows_out_channels", Axis::rows, 1, Normalise::none},
          std::tuple{"cols_in_channels", Axis::columns, 1, Normalise::none},
          std::tuple{"head_rows_dim2", Axis::rows, 2, Normalise::none},
          std::tuple{"head_cols_dim2", Axis::columns, 2, Normalise::none},
          std::tuple{"rows_l2normalised", Axis::rows, 1, Normalise::all},
          std::tuple{"head_rows_l2normalised", Axis::rows, 2, Normalise::all}}) {
      const std::string where = std::string(name) + " " + key;
      CAPTURE(where);
      Device device;
      auto model = c.model(device, axis, width);
      model.loss(c.x, c.y);
      CHECK(relative_error(unit_scores(model, importance, normalise), numbers(groups[name][key])) <= 1e-12);
    }
  }
}

namespace {

/// The dense formula for the rows or columns of a projection, in double and in the order of its definition.
template <class Model>
std::vector<double> dense(Model& model, const TaylorImportance& importance, double clip) {
  auto& p = model.projection;
  const auto &a = p.adapter.a, &b = p.adapter.b;
  const auto weight = p.weight.view();
  std::vector<double> sum(std::size_t(model.units.units()));
  for (Index i = 0; i < p.out(); ++i)
    for (Index j = 0; j < p.in(); ++j) {
      double g = 0, ba = 0;
      for (Index k = 0; k < a.rows; ++k) {
        const double gb = clip * double(b.grad(i, k)), ga = clip * double(a.grad(k, j));
        const double bk = double(b.value(i, k)), ak = double(a.value(k, j));
        g += gb * ak + bk * ga - importance.eta * gb * ga, ba += bk * ak;
      }
      const double e = (importance.scaled ? p.adapter.scale : 1.0) * g *
                       (double(widen<typename Model::A>(weight(i, j))) + p.adapter.scale * ba);
      sum[std::size_t((model.axis == Axis::rows ? i : j) / model.width)] +=
          importance.power == Power::square ? e * e : std::abs(e);
    }
  return sum;
}

template <class Device>
void check_dense(double bound) {
  const std::array<Index, 3> shapes[] = {{1, 1, 1},     {3, 200, 2},  {200, 3, 5}, {129, 131, 8},
                                         {64, 640, 16}, {300, 77, 3}, {33, 65, 33}};
  for (const auto& [out, in, rank] : shapes)
    for (const Axis axis : {Axis::rows, Axis::columns})
      for (const TaylorImportance& importance :
           {TaylorImportance{}, TaylorImportance{.power = Power::abs, .eta = 0.5, .scaled = true, .clipped = true}}) {
        const std::string where = format("({}, {}), rank {}", out, in, rank);
        CAPTURE(where);
        Device device;
        Single<Device> model(device, out, in, false, {.rank = rank, .alpha = 3}, axis, 1);
        randomise(model, 17);
        fill(model.run.arena.grad(), model.run.arena.size(), 23);
        model.run.step.clip = 0.5;
        CHECK(relative_error(unit_scores(model, importance),
                             dense(model, importance, importance.clipped ? 0.5 : 1.0)) <= bound);
      }
}

}  // namespace

TEST_CASE("behind the weight, too, with any power, η, scale and clipping, and where outputs are masked") {
  const std::array<Index, 3> shapes[] = {{1, 1, 1}, {3, 200, 2}, {70, 67, 8}, {33, 65, 35}};
  for (const auto& [out, in, rank] : shapes)
    for (const Axis axis : {Axis::rows, Axis::columns})
      for (const bool masked : {false, true})
        for (const TaylorImportance& importance :
             {TaylorImportance{}, TaylorImportance{.power = Power::abs, .eta = 0.5, .scaled = true, .clipped = true}}) {
          if (masked && axis == Axis::columns) continue;  // what is masked then are inputs
          const std::string where = format("({}, {}), rank {}", out, in, rank);
          CAPTURE(where);
          Cpu<double> device;
          Single<Cpu<double>, SequentialAdapter> model(device, out, in, false, {.rank = rank, .alpha = 3}, axis, 1);
          randomise(model, 17);
          fill(model.run.arena.grad(), model.run.arena.size(), 23);
          model.run.step.clip = 0.5;
          std::vector<std::uint8_t> alive(std::size_t(out), 1);
          for (std::size_t i = 1; i < alive.size() && masked; i += 3) alive[i] = 0;
          if (masked) model.units.set(device, alive);
          const auto elements = sequential_elements(model.projection, importance, importance.clipped ? 0.5 : 1.0, alive);
          std::vector<double> want(std::size_t(model.units.units()));
          for (std::size_t n = 0; n < elements.size(); ++n) want[axis == Axis::rows ? n / std::size_t(in) : n % std::size_t(in)] += elements[n];
          CHECK(relative_error(unit_scores(model, importance), want) <= 1e-12);
        }
}

TEST_CASE("streamed scores equal the dense formula on every shape, device and precision") {
  check_dense<Oracle<double>>(1e-12);
  check_dense<Cpu<double>>(1e-12);
  check_dense<Cpu<float>>(2e-5);
  check_dense<Cpu<float, BFloat16>>(2e-5);
}

TEST_CASE("the abs of signed sums, as LLM-Pruner's vectors, is another score: sums of abs are not it") {
  const auto& groups = oracle_numbers()["parallel"]["groups"];
  CHECK(relative_error(numbers(groups["lora_abs_official"]["rows_out_channels"]),
                       numbers(groups["lora_vectorised_abs_of_sum"]["rows_out_channels"])) > 1e-3);
}

TEST_CASE("with clipping the score is that of clipped gradients; the official preset asks for it, and for abs") {
  const ParallelCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::rows, 1);
  model.loss(c.x, c.y);
  const auto before = unit_scores(model, TaylorImportance{.power = Power::abs});
  model.run.step.clip = 0.125;
  CHECK(unit_scores(model, TaylorImportance{.power = Power::abs}) == before);
  const auto clipped = unit_scores(model, TaylorImportance{}.as_official());
  for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] *= 0.125;
  CHECK(relative_error(clipped, unit_scores(model, TaylorImportance{.power = Power::abs})) <= 1e-12);
  CHECK(relative_error(clipped, before) > 0.1);
}

TEST_CASE("a scaled score is s² times the square, s times the abs") {
  const ParallelCase c;
  Cpu<double> device;
  auto model = c.model(device, Axis::columns, 2);
  model.loss(c.x, c.y);
  auto want = unit_scores(model, TaylorImportance{});
  for (double& x : want) x *= 4;
  CHECK(relative_error(unit_scores(model, TaylorImportance{.scaled = true}), want) <= 1e-12);
  want = unit_scores(model, TaylorImportance{.power = Power::abs});
  for (double& x : want) x *= 2;
  CHECK(relative_error(unit_scores(model, TaylorImportance{.power = Power::abs, .scaled = true}), want) <= 1e-12);
}

TEST_CASE_TEMPLATE("magnitude is the sum of abs of the merged weight", Device, DEVICES) {
  const ParallelCase c;
  Device device;
  const auto element = numbers(oracle_numbers()["parallel"]["importance"]["magnitude"]);
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    auto model = c.model(device, axis, 2);
    std::vector<double> want(std::size_t(model.units.units()));
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j)
        want[std::size_t(axis == Axis::rows ? i / 2 : j / 2)] += element[std::size_t(i * c.in + j)];
    CHECK(relative_error(unit_scores(model, MagnitudeImportance{}), want) <= 1e-12);
  }
}

TEST_CASE("the LoRA-guided score takes panels of the adapter per thread and nothing else, however large the weight") {
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    std::vector<long> beside;
    for (const auto& [out, in] : {std::pair<Index, Index>{512, 512}, {2048, 512}, {512, 2048}, {2048, 2048}}) {
      Cpu<float> device;
      Single<Cpu<float>> model(device, out, in, false, {.rank = 2, .alpha = 4}, axis, 1);
      std::vector<float> score(std::size_t(axis == Axis::rows ? out : in), 0.f);
      beside.push_back(bytes_on_a_new_thread([&] {
        Pass<Cpu<float>> pass(model.run.workspace, {});
        TaylorImportance{}.score(pass, model.projection, axis, vector(score.data(), Index(score.size())));
      }));
      CHECK(model.run.workspace.peak() == 0);
    }
    CHECK(beside[0] > 0);
    CHECK(beside[1] == beside[0]);  // four times the rows
    CHECK(beside[3] == beside[2]);
    CHECK(beside[2] < 16 << 10);  // strips of 256 columns, not of 64
  }
}

TEST_CASE("behind the weight it takes A W and gA W on top: as much for any number of rows") {
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    std::vector<Index> peaks;
    std::vector<long> beside;
    const Index in = 512, rank = 2;
    for (const Index out : {512, 2048}) {
      Cpu<float> device;
      Single<Cpu<float>, SequentialAdapter> model(device, out, in, false, {.rank = rank, .alpha = 4}, axis, 1);
      std::vector<float> score(std::size_t(axis == Axis::rows ? out : in), 0.f);
      const auto go = [&] {
        Pass<Cpu<float>> pass(model.run.workspace, {});
        TaylorImportance{}.score(pass, model.projection, axis, vector(score.data(), Index(score.size())));
      };
      go(), go();
      peaks.push_back(model.run.workspace.peak());
      beside.push_back(bytes_on_a_new_thread(go));
    }
    CHECK(peaks[0] == 2 * rank * in * 4);
    CHECK(peaks[1] == peaks[0]);
    CHECK(beside[1] == beside[0]);
  }
}
