// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <espalier/kernel/taylor.hpp>
#include <espalier/kernel/term.hpp>
#include <espalier/nn/linear.hpp>
#include <type_traits>

namespace espalier::inline v0 {

/// What a score must be given before it can say anything.
enum class Needs {
  nothing,            ///< the weights are enough
  adapter_gradients,  ///< gradients of A and B, read between backward and the optimizer's step
  backward,           ///< x, y, dy and dx of every projection, watched while backward runs
  input_squares,      ///< Σ x² of every column of a projection, gathered while backward runs
  input_products,     ///< xᵀx of a projection, gathered while backward runs
};

/// What a need is served by.
constexpr bool reads_inputs(Needs needs) { return needs == Needs::input_squares || needs == Needs::input_products; }
constexpr bool watches_backward(Needs needs) { return needs == Needs::backward || reads_inputs(needs); }

/// Somebody who is told settings; nvcc knows no lambda inside of a concept.
struct AnyListener {
  template <class Name, class Value>
  void operator()(const Name&, const Value&) const {}
};

/// A score is a small aggregate with one verb, which *adds* one number per row or per column of a projection:
///
///   void score(Pass<Device>&, const Projection&, Axis, View<A, 1> out) const                  nothing or gradients
///   void observe(Pass<Device>&, const Projection&, Axis, const Sight&, View<A, 1> out) const  backward, per micro-batch
///   void score(Pass<Device>&, const Projection&, Axis, const Inputs<A>&, View<A, 1> out) const statistics of inputs
///
/// and `A finish(A sum, Index passes) const`, what becomes of the sum over one projection's part of a unit. A score of
/// whole units has `void score_units(Pass<Device>&, const Group&, Index number, const int* origin, View<A, 1> out)`.
///
/// What a score may say besides: `double decay`, how much of the statistics of inputs stays from step to step;
/// `static bool reads(Axis)`, of which sides it says anything; `static constexpr bool at_events = true`, that it is
/// computed only when units are chosen; `static constexpr Normalise normalise`, what Normalise::automatic means;
/// `check()`, which refuses settings that make no sense; `static constexpr const char* hint`, what a score that is not
/// finite means.
///
/// Settings are told to whoever asks: settings(f) calls f(name, value) with strings.
template <class Score>
concept Importance = std::is_trivially_copyable_v<Score> && requires(const Score& importance) {
  { Score::needs } -> std::convertible_to<Needs>;
  { importance.finish(1.0, Index{1}) } -> std::convertible_to<double>;
  importance.settings(AnyListener{});
};

inline const char* name_of(Power power) { return power == Power::square ? "square" : "abs"; }

namespace detail {

/// Whether a score says anything of rows or of columns.
template <class Score>
constexpr bool reads(Axis axis) {
  if constexpr (requires { Score::reads(axis); }) return Score::reads(axis);
  else return true;
}
/// Which side a probe works on: who looks at inputs has no use for a dx of its own.
template <class Score>
constexpr Axis watched_side(Axis axis) {
  return reads_inputs(Score::needs) ? Axis::rows : axis;
}

/// An adapter that adds a product of two thin matrices to the weight, trained through gradients of both.
template <class Adapter>
concept LowRank = requires(const Adapter& adapter) {
  adapter.a.value;
  adapter.b.grad;
  adapter.scale;
};

/// W0 + s B U of a projection, whatever its adapter; the pass has to last as long as what is returned.
template <class Device, class Projection>
auto effective_weight(Pass<Device>& pass, const Projection& p) {
  using A = typename Projection::A;
  kernel::LowRankSum<typename Projection::W, A> w{p.weight.view(), {}, {}, A(0)};
  if constexpr (AddsTerm<decltype(p.adapter)>)
    if (p.adapter.active()) {
      const auto term = p.adapter.term(pass, p.weight.view());
      w.b = term.b, w.a = term.u, w.scale = A(term.scale);
    }
  return w;
}

/// The bias that goes with it, or no data.
template <class Device, class Projection>
auto effective_bias(Pass<Device>& pass, const Projection& p) {
  using A = typename Projection::A;
  if (p.bias.empty()) return View<const A, 1>{};
  if constexpr (AddsTerm<decltype(p.adapter)>)
    if (p.adapter.active() && p.adapter.kInput == Axis::rows) {
      const auto bias = matrix(p.bias.view().data, p.out(), Index{1});
      const auto term = p.adapter.term(pass, bias);
      auto sum = pass.template matrix<A>(p.out(), 1);
      pass.device.for_each(p.out(), kernel::Copy<A, A>{bias.data, sum.data});
      pass.device.gemm(A(term.scale), term.b, term.u, A(1), sum);
      return View<const A, 1>(vector<const A>(sum.data, p.out()));
    }
  return p.bias.view();
}

/// What to do about a score that is not finite.
template <class Score>
constexpr const char* hint_of() {
  if constexpr (requires { Score::hint; }) return Score::hint;
  else return "look at the loss, lower the learning rate or clip the gradients";
}

}  // namespace detail

/// score += the sums of element(i, j) along rows or columns.
template <class Device, class Element, class A>
void add_scores(Device& device, const Element& element, Index rows, Index cols, Axis axis, View<A, 1> score) {
  if (axis == Axis::rows) {
    device.for_each_row(rows, kernel::ScoreRows<Element, A>{element, cols, score});
  } else {
    const kernel::ScoreColumns<Element, A> columns{element, rows, score};
    device.for_each_row(columns.blocks(), columns);
  }
}

}  // namespace espalier::inline v0
