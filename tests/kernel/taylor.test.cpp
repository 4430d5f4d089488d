// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/backend/cpu.hpp>
#include <espalier/kernel/taylor.hpp>
#include <espalier/prune/importance.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"

using namespace espalier;
using namespace espalier::test;

#define DEVICES Oracle<double>, Cpu<double>

namespace {

/// Matrices of a projection and of its adapter's gradients.
template <class W, class A>
struct Operands {
  Index out, in, rank;
  std::vector<W> w;
  std::vector<A> a, b, da, db, g;

  Operands(Index o, Index i, Index r, std::uint64_t seed, bool integers) : out(o), in(i), rank(r) {
    const auto draw = [&](auto& x, Index n) {
      using T = typename std::remove_reference_t<decltype(x)>::value_type;
      const RandomStream stream{++seed, Purpose::test};
      for (Index k = 0; k < n; ++k) {
        const double u = stream.uniform(std::uint64_t(k));
        x.push_back(T(integers ? double(int(u * 5) - 2) : 2 * u - 1));
      }
    };
    draw(w, out * in), draw(a, rank * in), draw(b, out * rank), draw(da, rank * in), draw(db, out * rank),
        draw(g, out * in);
  }
  kernel::LowRankSum<W, A> weight(double s) const {
    return {matrix(w.data(), out, in), matrix(b.data(), out, rank), matrix(a.data(), rank, in), A(s)};
  }
  kernel::TaylorElement<W, A> taylor(double s, double eta, double factor, Power power,
                                     const StepState* state = nullptr) const {
    return {weight(s), matrix(db.data(), out, rank), matrix(da.data(), rank, in), A(eta), A(factor), power, state};
  }
  /// The dense formula, in matrices that the library never forms.
  std::vector<double> dense(double s, double eta, double factor, Power power, double clip = 1) const {
    std::vector<double> e;
    for (Index i = 0; i < out; ++i)
      for (Index j = 0; j < in; ++j) {
        double gba = 0, bga = 0, gbga = 0, ba = 0;
        for (Index k = 0; k < rank; ++k) {
          const double bk = double(b[std::size_t(i * rank + k)]), ak = double(a[std::size_t(k * in + j)]);
          const double dbk = clip * double(db[std::size_t(i * rank + k)]),
                       dak = clip * double(da[std::size_t(k * in + j)]);
          gba += dbk * ak, bga += bk * dak, gbga += dbk * dak, ba += bk * ak;
        }
        const double x = factor * (gba + bga - eta * gbga) * (double(widen<A>(w[std::size_t(i * in + j)])) + s * ba);
        e.push_back(power == Power::square ? x * x : std::abs(x));
      }
    return e;
  }
  std::vector<double> sums(const std::vector<double>& e, Axis axis) const {
    std::vector<double> sum(std::size_t(axis == Axis::rows ? out : in));
    for (Index i = 0; i < out; ++i)
      for (Index j = 0; j < in; ++j) sum[std::size_t(axis == Axis::rows ? i : j)] += e[std::size_t(i * in + j)];
    return sum;
  }
};

template <class Device, class Element>
std::vector<double> streamed(Device& device, const Element& element, Index out, Index in, Axis axis) {
  using A = typename Device::Accumulate;
  std::vector<A> score(std::size_t(axis == Axis::rows ? out : in), A(0));
  add_scores(device, element, out, in, axis, vector(score.data(), Index(score.size())));
  return std::vector<double>(score.begin(), score.end());
}

}  // namespace

TEST_CASE_TEMPLATE("streamed scores equal the dense formula", Device, DEVICES) {
  Device device;
  for (const auto& [out, in, rank] : {std::array<Index, 3>{7, 130, 3}, {129, 65, 8}, {1, 1, 1}, {64, 64, 2}}) {
    const Operands<double, double> o(out, in, rank, 3, false);
    for (const Axis axis : {Axis::rows, Axis::columns})
      for (const Power power : {Power::square, Power::abs})
        for (const double eta : {1.0, 0.1, 0.0}) {
          const auto want = o.sums(o.dense(2.5, eta, 2.5, power), axis);
          CHECK(relative_error(streamed(device, o.taylor(2.5, eta, 2.5, power), out, in, axis), want) <= 1e-12);
        }
  }
}

TEST_CASE_TEMPLATE("on small integers streamed scores are exact, whatever the order of summation", Device,
                   Oracle<float>, Cpu<float>, Cpu<double>) {
  using A = typename Device::Accumulate;
  Device device;
  const Operands<A, A> o(37, 70, 2, 11, true);
  for (const Axis axis : {Axis::rows, Axis::columns}) {
    const auto want = o.sums(o.dense(1, 1, 1, Power::abs), axis);
    CHECK(std::count_if(want.begin(), want.end(), [](double x) { return x > 0; }) > Index(want.size() / 2));
    CHECK(streamed(device, o.taylor(1, 1, 1, Power::abs), 37, 70, axis) == want);
  }
}

TEST_CASE("weights in bf16 are widened") {
  Cpu<float, BFloat16> device;
  const Operands<BFloat16, float> o(20, 70, 2, 5, true);
  for (const Axis axis : {Axis::rows, Axis::columns})
    CHECK(streamed(device, o.taylor(1, 1, 1, Power::square), 20, 70, axis) ==
          o.sums(o.dense(1, 1, 1, Power::square), axis));
}

TEST_CASE_TEMPLATE("gradients count as clipped when asked for", Device, DEVICES) {
  Device device;
  const Operands<double, double> o(9, 12, 2, 21, false);
  StepState state;
  state.clip = 0.25;
  const auto got = streamed(device, o.taylor(2, 1, 1, Power::square, &state), 9, 12, Axis::rows);
  CHECK(relative_error(got, o.sums(o.dense(2, 1, 1, Power::square, 0.25), Axis::rows)) <= 1e-12);
  CHECK(relative_error(got, o.sums(o.dense(2, 1, 1, Power::square), Axis::rows)) > 1e-3);
}

TEST_CASE_TEMPLATE("scores are added to what is there", Device, DEVICES) {
  Device device;
  const Operands<double, double> o(5, 9, 2, 33, true);
  std::vector<double> score(9, 100.0);
  add_scores(device, o.taylor(1, 1, 1, Power::abs), 5, 9, Axis::columns, vector(score.data(), 9));
  auto want = o.sums(o.dense(1, 1, 1, Power::abs), Axis::columns);
  for (double& x : want) x += 100;
  CHECK(score == want);
}

TEST_CASE("the merged weight and its rows are those of W0 + s B A, and W0 without an adapter") {
  const Operands<double, double> o(5, 4, 2, 41, true);
  const auto w = o.weight(2);
  const auto some = w.rows(2, 3);
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 4; ++j) {
      double want = w.w(i + 2, j);
      for (Index k = 0; k < 2; ++k) want += 2 * w.b(i + 2, k) * w.a(k, j);
      CHECK(some(i, j) == want);
      CHECK(w(i + 2, j) == want);
      CHECK(kernel::LowRankSum<double, double>{w.w, {}, {}, 0}.rows(2, 3)(i, j) == w.w(i + 2, j));
    }
}

TEST_CASE("elements are the oracle's") {
  const auto& json = oracle_numbers()["parallel"];
  const ParallelCase c;
  Oracle<double> device;
  auto model = c.model(device, Axis::rows, 1);
  CHECK(numbers(json["W0"]) == c.w);
  CHECK(numbers(json["y"]) == c.y);
  CHECK(std::abs(model.loss(c.x, c.y) - json["loss"].template get<double>()) <= 1e-12);
  const auto& p = model.projection;
  const auto matrix_of = [&](const auto& element) {
    std::vector<double> e;
    for (Index i = 0; i < c.out; ++i)
      for (Index j = 0; j < c.in; ++j) e.push_back(element(i, j));
    return e;
  };
  Pass<Oracle<double>> pass(model.run.workspace, {});
  const auto weight = espalier::detail::effective_weight(pass, p);
  const auto taylor = [&](double s, double eta, double factor, Power power) {
    auto w = weight;
    w.scale = s;
    return matrix_of(
        kernel::TaylorElement<double, double>{w, p.adapter.b.grad, p.adapter.a.grad, eta, factor, power, nullptr});
  };
  CHECK(relative_error(as_doubles(p.adapter.a.grad), numbers(json["grad_A"])) <= 1e-12);
  CHECK(relative_error(as_doubles(p.adapter.b.grad), numbers(json["grad_B"])) <= 1e-12);
  CHECK(relative_error(matrix_of(weight), numbers(json["W_merged"])) <= 1e-12);
  const auto& importance = json["importance"];
  CHECK(relative_error(taylor(2, 1, 1, Power::square), numbers(importance["lora_sq"])) <= 1e-12);
  CHECK(relative_error(taylor(1, 1, 1, Power::square), numbers(importance["lora_sq_paper"])) <= 1e-12);
  CHECK(relative_error(taylor(2, 1, 1, Power::abs), numbers(importance["lora_abs_official"])) <= 1e-12);
  CHECK(relative_error(taylor(2, 1, 2, Power::square), numbers(importance["lora_sq_consistent_scale"])) <= 1e-12);
  CHECK(relative_error(taylor(2, 0, 1, Power::square), numbers(importance["lora_sq_eta0"])) <= 1e-12);
  CHECK(relative_error(taylor(2, 0.1, 1, Power::square), numbers(importance["lora_sq_eta0.1"])) <= 1e-12);
  CHECK(relative_error(matrix_of(kernel::MagnitudeElement<double, double>{weight}), numbers(importance["magnitude"])) <=
        1e-12);
  const auto g = numbers(json["G_full"]);
  const auto full = [&](Power power) {
    return matrix_of(kernel::GradientElement<double, double>{weight, matrix(g.data(), c.out, c.in), power});
  };
  CHECK(relative_error(full(Power::square), numbers(importance["full_taylor_sq"])) <= 1e-12);
  CHECK(relative_error(full(Power::abs), numbers(importance["full_taylor_abs"])) <= 1e-12);
}

TEST_CASE("with masked outputs the guided gradient of a masked row is B gA: it goes on being scored") {
  const auto& json = oracle_numbers()["parallel"]["structured_output_mask"];
  const ParallelCase c;
  Oracle<double> device;
  auto model = c.model(device, Axis::rows, 1);
  const auto mask = numbers(json["M"]);
  CHECK(std::abs(model.loss(c.x, c.y, mask) - oracle_numbers()["parallel"]["loss_out_masked"].template get<double>()) <=
        1e-12);
  const auto& adapter = model.projection.adapter;
  CHECK(relative_error(as_doubles(adapter.a.grad), numbers(json["grad_A"])) <= 1e-12);
  CHECK(relative_error(as_doubles(adapter.b.grad), numbers(json["grad_B"])) <= 1e-12);
  const auto want = numbers(json["guided_gradient"]);
  for (Index i = 0; i < c.out; ++i)
    for (Index j = 0; j < c.in; ++j) {
      const std::vector<double> one(std::size_t(c.out * c.in), 1.0);  // a weight of ones leaves abs(Ĝ)
      const kernel::TaylorElement<double, double> e{
          {matrix(one.data(), c.out, c.in), adapter.b.value, adapter.a.value, 0},
          adapter.b.grad,
          adapter.a.grad,
          1,
          1,
          Power::abs,
          nullptr};
      CHECK(std::abs(e(i, j) - std::abs(want[std::size_t(i * c.in + j)])) <= 1e-12);
      CHECK(e(i, j) != 0);
    }
}

TEST_CASE("the generator of the oracle's inputs is SplitMix64") {
  SplitMix64 random(1);
  for (const auto& want : oracle_numbers()["splitmix64_seed1_first3_u64"])
    CHECK(std::to_string(random.next()) == want.template get<std::string>());
  CHECK(SplitMix64(1).uniform(3) == numbers(oracle_numbers()["splitmix64_seed1_first3_uniform_m1_p1"]));
}
