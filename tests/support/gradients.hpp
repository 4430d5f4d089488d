// SPDX-License-Identifier: MIT
#pragma once
#include <complex>
#include <espalier/core/random.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <vector>

#include "oracle.hpp"

namespace espalier::test {

using Real = Oracle<double>;
using Complex = Oracle<std::complex<double>>;

/// Fills with uniform numbers of the given half-width around a centre: a function of (seed, index) alone, and the same
/// number in float and double.
template <class T>
void fill(T* x, Index n, std::uint64_t seed, double half = 0.5, double centre = 0) {
  const RandomStream stream{seed, Purpose::test};
  for (Index i = 0; i < n; ++i) x[i] = T(float(centre + half * (2 * stream.uniform(std::uint64_t(i)) - 1)));
}

/// Gives every tensor and parameter of a module the same numbers on any host device; gains lie around one.
template <class M>
void randomise(M& m, std::uint64_t seed, double half = 0.5) {
  walk(m, [&](const std::string& path, auto& node) {
    using Node = std::remove_cvref_t<decltype(node)>;
    ++seed;
    if constexpr (espalier::detail::is_tensor<Node>)
      fill(node.view().data, node.size(), seed, half,
           path.find("norm") != std::string::npos || path.find("LayerNorm.weight") != std::string::npos ? 1.0 : 0.0);
    if constexpr (espalier::detail::is_parameter<Node>) fill(node.value.data, node.size(), seed, half);
  });
}

/// max |a − b| / max(max |b|, 1e-30), after MATH's definition of the relative error of a tensor.
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  double top = 1e-30, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) top = std::max(top, std::abs(b[i])), worst = std::max(worst, std::abs(a[i] - b[i]));
  return a.size() == b.size() ? worst / top : 1e300;
}

/// A module with its parameters bound and its numbers drawn.
template <class Device, class Module>
struct Rig {
  Device device;
  Workspace<Device> workspace{device};
  ParameterArena<Device> arena;
  Module module;
  StepState state{.seed = 7, .step = 3};

  template <class Make>
  explicit Rig(const Make& make, std::uint64_t seed = 1) : module(make(device)) {
    arena.bind(device, [this](auto&& f) { for_each_parameter(module, [&](const auto&, auto& p) { f(p); }); });
    randomise(module, seed);
  }
};

/// Gradients of Σ w∘f(x) by a module's own backward: of x first, then of every parameter.
struct Gradients {
  std::vector<std::vector<double>> tensors;
  std::vector<std::string> names;
  double norm(std::size_t i) const {
    double n = 0;
    for (double g : tensors[i]) n += g * g;
    return n;
  }
};

template <class Device, class Make>
Gradients backward_gradients(const Make& make, Shape shape, Index in, bool training = false) {
  Device maker;
  Rig<Device, decltype(make(maker))> rig(make);
  Pass<Device> pass(rig.workspace, shape, &rig.state, training);
  auto x = pass.matrix(shape.tokens(), in);
  fill(x.data, x.size(), 91);
  typename decltype(rig.module)::Activations act{};
  auto y = rig.module.forward(pass, x, act);
  auto dy = pass.matrix(y.rows(), y.cols());
  fill(dy.data, dy.size(), 92);
  auto dx = pass.zeros(x.rows(), x.cols());
  rig.module.backward(pass, dy, act, dx);
  Gradients g;
  g.tensors.emplace_back(dx.data, dx.data + dx.size());
  g.names.push_back("x");
  for_each_parameter(rig.module, [&](const std::string& name, auto& p) {
    g.tensors.emplace_back(p.grad.data, p.grad.data + p.size());
    g.names.push_back(name);
  });
  return g;
}

/// The same by complex step on the forward alone: Im f(x + ih) / h with h = 1e-50, exact to rounding.
///                                                                                        Squire & Trapp 1998
template <class Make>
Gradients complex_step_gradients(const Make& make, Shape shape, Index in, bool training = false) {
  using C = std::complex<double>;
  constexpr double h = 1e-50;
  Complex maker;
  Rig<Complex, decltype(make(maker))> rig(make);
  std::vector<C> x(std::size_t(shape.tokens() * in));
  fill(x.data(), Index(x.size()), 91);
  const auto objective = [&] {
    Pass<Complex> pass(rig.workspace, shape, &rig.state, training);
    typename decltype(rig.module)::Activations act{};
    const auto y = rig.module.forward(pass, matrix<const C>(x.data(), shape.tokens(), in), act);
    std::vector<C> w(std::size_t(y.size()));
    fill(w.data(), y.size(), 92);
    C sum{};
    for (Index i = 0; i < y.size(); ++i) sum += w[std::size_t(i)] * y.data[i];
    return sum.imag() / h;
  };
  const auto probe = [&](C* v, Index n) {
    std::vector<double> g;
    for (Index i = 0; i < n; ++i) {
      v[i] += C(0, h);
      g.push_back(objective());
      v[i] = v[i].real();
    }
    return g;
  };
  Gradients g;
  g.tensors.push_back(probe(x.data(), Index(x.size())));
  g.names.push_back("x");
  for_each_parameter(rig.module, [&](const std::string& name, auto& p) {
    g.tensors.push_back(probe(p.value.data, p.size()));
    g.names.push_back(name);
  });
  return g;
}

/// The largest relative error over tensors; a tensor whose true gradient is zero throughout is compared absolutely.
inline double worst_error(const Gradients& got, const Gradients& expected) {
  double worst = got.tensors.size() == expected.tensors.size() ? 0 : 1e300;
  for (std::size_t i = 0; i < expected.tensors.size() && worst < 1e300; ++i) {
    double error = relative_error(got.tensors[i], expected.tensors[i]);
    if (expected.norm(i) == 0) {
      error = 0;
      for (double v : got.tensors[i]) error = std::max(error, std::abs(v));
    }
    worst = std::max(worst, error);
  }
  return worst;
}

}  // namespace espalier::test
