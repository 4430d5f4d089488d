// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/kernel/input_statistics.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <espalier/nn/linear.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// What of a projection's inputs is kept.
enum class InputStatistic {
  squares,   ///< Σ_t x_tj²:   (in)       Wanda
  products,  ///< Σ_t x_t x_tᵀ: (in, in)  OBS and SparseGPT, whose Hessian is 2 / n of it
};

/// Statistics of one projection's inputs, as whoever scores reads them: on the device.
template <class A>
struct Inputs {
  View<const A, 1> squares;   // (in), or no data
  View<const A, 2> products;  // (in, in), or no data; the lower triangle is what counts
  View<const A, 1> tokens;    // (1): how many it is the sum of
  OutputMask<A> units{};      // whose columns these are and which of them are masked; no data: nobody's
};

/// S ← S + Σ_t x_t²  or  S + xᵀx,  n ← n + tokens, while backward runs, and at the end of a step S ← λ S, n ← λ n.
///
/// λ = 1: everything since the beginning, the sum over a calibration set. λ = 0: one step alone. Between, recent steps
/// count more. S / n is a mean at every time, the running mean of Wanda's published program with λ = 1. What is zero
/// behind a mask is summed as it is. A token with an input that is not finite is left out, and is not counted.
///
///   InputStatistics<Device> seen(device, p.in(), InputStatistic::products);
///   p.probe = seen.probe<Projection>();   model.loss(batch);   read(seen.inputs());   seen.age(device, 0.99);
///
/// The probe refers to it: it stays where it is meanwhile. Adding waits for nobody and allocates nothing.
template <Backend Device>
class InputStatistics {
 public:
  using A = typename Device::Accumulate;
  using X = typename Device::Activation;

  InputStatistics() = default;
  InputStatistics(Device& device, Index in, InputStatistic kind) : tokens_(device, 1) {
    if (kind == InputStatistic::squares) squares_ = Squares(device, in);
    else products_ = Products(device, in, in);
  }

  bool empty() const { return squares_.empty() && products_.empty(); }
  Index in() const { return squares_.empty() ? products_.shape(0) : squares_.shape(0); }
  Inputs<A> inputs() const {
    return {squares_.empty() ? View<const A, 1>{} : squares_.view(),
            products_.empty() ? View<const A, 2>{} : products_.view(), tokens_.view(), {}};
  }

  /// The tokens of one pass join.                                                               x: (tokens, in)
  void add(Pass<Device>& pass, View<const X, 2> x) {
    auto scratch = pass.scratch();
    const auto y = scratch.matrix(x.rows(), x.cols());
    const auto kept = scratch.vector(x.rows());
    auto& device = scratch.device;
    device.for_each_row(x.rows(), kernel::FiniteRows<X, A>{x, y, kept});
    device.for_each_row(1, kernel::SumInto<A>{kept, tokens_.view().data});
    if (!squares_.empty()) {
      const kernel::ColumnSquares<X, A> kernel{y, squares_.view()};
      device.for_each_row(kernel.blocks(), kernel);
    } else {
      const View<const X, 2> rows = y;
      device.gemm(A(1), rows.t(), rows, A(1), products_.view());
    }
  }
  /// A step has ended: all that was seen counts so much from now on.
  void age(Device& device, double decay) {
    if (decay == 1) return;
    if (decay == 0) return reset(device);
    each([&](auto v) { device.for_each(v.size(), kernel::Scale<A>{v.data, A(decay)}); });
  }
  /// Forgets everything.
  void reset(Device& device) {
    each([&](auto v) { device.for_each(v.size(), kernel::Fill<A>{v.data, A(0)}); });
  }

  /// What a projection is given, so that its inputs are gathered while backward runs.
  template <class Projection>
  Probe<Projection> probe() {
    return {this, [](const void* observer, Pass<Device>& pass, const Projection&, const Probe<Projection>&,
                     const typename Probe<Projection>::Sight& sight) {
              const_cast<InputStatistics*>(static_cast<const InputStatistics*>(observer))->add(pass, sight.x);
            }};
  }

  /// Columns of the projection have left for good: `kept` of those that were there, in order.
  void keep(Device& device, const std::vector<int>& kept) {
    const Index n = Index(kept.size());
    typename Device::template Buffer<int> list(device, n);
    device.upload(list.data(), kept.data(), n);
    if (!squares_.empty()) {
      Squares fewer(device, n);
      const View<const A, 1> old = std::as_const(squares_).view();
      device.for_each_row(1, kernel::Gather<A>{matrix(old.data, 1, old.shape[0]), nullptr, list.data(),
                                               matrix(fewer.view().data, 1, n)});
      squares_ = std::move(fewer);
    } else {
      Products fewer(device, n, n);
      device.for_each_row(n, kernel::Gather<A>{std::as_const(products_).view(), list.data(), list.data(), fewer.view()});
      products_ = std::move(fewer);
    }
  }

  /// f(name, numbers): what a resumed run needs. Of products the lower triangle, row by row, which is all that is read.
  /// Where columns have left, `places` says which of `full` each one was: the numbers are those of all, zero where gone.
  template <class F>
  void visit_state(Device& device, const std::string& name, F&& f, std::vector<int> places = {}, Index full = 0) {
    const bool triangle = squares_.empty();
    const Index n = in(), size = triangle ? n * n : n;
    if (places.empty()) {
      full = n;
      for (Index j = 0; j < n; ++j) places.push_back(int(j));
    }
    const Index count = 1 + (triangle ? full * (full + 1) / 2 : full);
    A* const data = triangle ? products_.view().data : squares_.view().data;
    std::vector<A> numbers(std::size_t(size), A(0)), tokens(1);
    device.download(data, numbers.data(), size);
    device.download(tokens_.view().data, tokens.data(), 1);
    std::vector<double> state(std::size_t(count), 0.0);
    // f(number here, number among all)
    const auto each_number = [&](auto&& exchange) {
      exchange(tokens[0], state[0]);
      for (Index i = 0; i < n; ++i) {
        const Index row = places[std::size_t(i)];
        if (!triangle) exchange(numbers[std::size_t(i)], state[std::size_t(1 + row)]);
        for (Index j = 0; triangle && j <= i; ++j)
          exchange(numbers[std::size_t(i * n + j)],
                   state[std::size_t(1 + row * (row + 1) / 2 + places[std::size_t(j)])]);
      }
    };
    each_number([](const A& here, double& there) { there = double(here); });
    f(name, state);
    require(Index(state.size()) == count, "pruner state: {} has {} numbers, expected {}: it belongs to another model", name,
            state.size(), count);
    each_number([](A& here, const double& there) { here = A(there); });
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; triangle && j < i; ++j)
        numbers[std::size_t(j * n + i)] = numbers[std::size_t(i * n + j)];
    device.upload(data, numbers.data(), size);
    device.upload(tokens_.view().data, tokens.data(), 1);
  }

 private:
  using Squares = Tensor<Device, A, 1>;
  using Products = Tensor<Device, A, 2>;
  template <class F>
  void each(F&& f) {
    if (!squares_.empty()) f(squares_.view());
    if (!products_.empty()) f(flat(products_.view()));
    f(tokens_.view());
  }

  Squares squares_;             // (in)
  Products products_;           // (in, in)
  Tensor<Device, A, 1> tokens_;  // (1)
};

namespace detail {

inline void check_decay(double decay) {
  require(decay >= 0 && decay <= 1, "statistics of inputs: decay is {}, expected 0 (one step) to 1 (all steps)", decay);
}

}  // namespace detail
}  // namespace espalier::inline v0
