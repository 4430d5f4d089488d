// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <espalier/core/view.hpp>

namespace espalier::inline v0 {

struct AnyKernel {
  ESPALIER_FN void operator()(Index) const {}
};
struct AnyRowKernel {
  template <class Team>
  ESPALIER_FN void operator()(Team&, Index) const {}
};

struct AnyStep {
  void operator()() const {}
};

/// Everything the library asks of a device: three types and a handful of verbs. Whoever writes these runs every module.
///
///   Weight      what frozen weights are stored in        (CPU: bf16 or fp32; CUDA training: bf16)
///   Activation  what flows between modules               (CPU: fp32; CUDA training: bf16)
///   Accumulate  norms, softmax, losses, scores, adapters and their moments          (fp32; tests: fp64 or complex)
template <class B>
concept Backend =
    requires(B& device, Index n, typename B::Accumulate scale, View<const typename B::Weight, 2> w,
             View<const typename B::Activation, 2> x, View<typename B::Activation, 2> y,
             View<const typename B::Accumulate, 2> p, View<typename B::Accumulate, 2> g,
             View<const typename B::Activation, 3> x3, View<typename B::Activation, 3> y3, int* to, const int* from) {
      typename B::template Buffer<int>;         // Buffer<T>(device, n): owns n zeroed elements; data(), size(); movable
      device.for_each(n, AnyKernel{});          // kernel(i)        for i in [0, n), in any order
      device.for_each_row(n, AnyRowKernel{});   // kernel(team, i)  a team works on row i together: each, sum, max
      device.gemm(scale, x, w, scale, y);       // y = alpha x w + beta y;  beta == 0 never reads y
      device.gemm(scale, x, x, scale, g);       // operands may be weights, activations or accumulators, transposed as views
      device.gemm(scale, p, p, scale, g);
      device.gemm(scale, x3, x3, scale, y3);    // one product per element of the first axis
      device.upload(to, from, n);               // host -> device
      device.download(from, to, n);             // device -> host, done when it returns
      device.record(AnyStep{});                 // f() launches and multiplies only: a device may replay it as a whole
    };

}  // namespace espalier::inline v0
