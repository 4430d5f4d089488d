// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <espalier/nn/masked_linear.hpp>
#include <espalier/nn/weight_mask.hpp>

namespace espalier::inline v0 {

/// Somebody who wants to see a projection's backward pass, e.g. an exact importance score. No virtual call, no heap.
template <class Projection>
struct Probe {
  using Device = typename Projection::DeviceType;
  using X = typename Device::Activation;
  /// What passes by; y is the projection's own output before any mask, dx its own contribution.
  struct Sight {
    View<const X, 2> x, y, dy, dx;  // (tokens, in), (tokens, out), (tokens, out), (tokens, in)
  };
  const void* observer = nullptr;
  void (*observe)(const void* observer, Pass<Device>&, const Projection&, const Probe&, const Sight&) = nullptr;
  Axis axis = Axis::rows;
  View<typename Device::Accumulate, 1> score{};  // (out) or (in): one number is added per row or column

  explicit operator bool() const { return observe != nullptr; }
};

/// y = x Wᵀ + b with an adapter beside or behind it.   W: (out, in) and b: (out) are frozen; only the adapter learns.
/// dx += dy W + adapter. Who masks units of outputs says so: an adapter behind the weight mixes them. A mask on single
/// weights works on the weight with its adapter in it.
template <Backend Device, template <class> class Adapter>
class Linear {
 public:
  using DeviceType = Device;
  using T = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  using Options = typename Adapter<Device>::Options;
  struct Activations {
    View<const T, 2> x, y;  // (tokens, in), (tokens, out): whoever overwrites y in place says so by clearing it
    typename Adapter<Device>::Activations adapter;
  };

  Linear() = default;
  Linear(Device& device, Index in, Index out, bool has_bias, const std::string& path, const Options& options)
      : weight(device, out, in), adapter(device, in, out, path, options) {
    if (has_bias) bias = Tensor<Device, A, 1>(device, out);
  }
  Index in() const { return weight.shape(1); }
  Index out() const { return weight.shape(0); }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const OutputMask<A>& mask = {}) const {
    auto y = pass.matrix(x.rows(), out());
    if (weight_mask) {
      auto scratch = pass.scratch();
      detail::MaskedLinear<const Linear>{scratch, *this, mask}.forward(x, y);
      act.x = x, act.y = y;
      return y;
    }
    pass.device.gemm(A(1), x, weight.view().t(), A(0), y);
    if (!bias.empty()) pass.device.for_each_row(y.rows(), kernel::AddBias<T, A>{bias.view(), y});
    y = adapter.forward(pass, x, y, mask, act.adapter);
    act.x = x, act.y = y;
    return y;
  }

  void backward(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx,
                const OutputMask<A>& mask = {}) {
    if (!probe || probe.axis == Axis::rows) {
      contribute(pass, dy, act, dx, mask);
      if (probe) probe.observe(probe.observer, pass, *this, probe, {act.x, act.y, dy, {}});
      return;
    }
    auto scratch = pass.scratch();  // the probe wants this projection's share of dx alone
    auto own = scratch.zeros(dy.rows(), in());
    contribute(scratch, dy, act, own, mask);
    probe.observe(probe.observer, scratch, *this, probe, {act.x, act.y, dy, own});
    if (dx) pass.device.for_each(dx.size(), kernel::Accumulate<T>{own.data, dx.data});
  }

  /// Gives the projection a mask on its single weights that keeps all of them for now.
  void allow_weight_mask(Device& device, const std::string& path) {
    if constexpr (requires { adapter.dropout; })
      require(!adapter.present() || adapter.dropout == 0,
              "{}: its adapter has dropout {}: a mask on single weights works on the weight with its adapter in it, which "
              "dropout has none of; train with dropout 0",
              path, adapter.dropout);
    if (!weight_mask.present()) weight_mask = WeightMask<Device>(device, out(), in());
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("weight", self.weight);
    if (!self.bias.empty()) f("bias", self.bias);
    f("", self.adapter);
  }

  Tensor<Device, W, 2> weight;  // (out, in)
  Tensor<Device, A, 1> bias;    // (out), or empty
  Adapter<Device> adapter;
  WeightMask<Device> weight_mask;  // (out, in) bits, or none
  Probe<Linear> probe{};
  bool transposed = false;  ///< files hold the weight as (in, out)

 private:
  void contribute(Pass<Device>& pass, View<const T, 2> dy, const Activations& act, View<T, 2> dx,
                  const OutputMask<A>& mask) {
    auto scratch = pass.scratch();
    if (weight_mask) return detail::MaskedLinear<Linear>{scratch, *this, mask}.backward(act.x, dy, dx);
    const auto dh = adapter.backward(scratch, dy, mask, act.adapter, dx);
    if (dx) pass.device.gemm(A(1), dh, View<const W, 2>(weight.view()), A(1), dx);
  }
};

}  // namespace espalier::inline v0
