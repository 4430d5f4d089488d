// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/dtype.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>

namespace espalier::inline v0 {

namespace kernel {

// w ← w + d, rounded to what w is stored in, once.
template <class W, class A>
struct AddStored {
  const A* d;
  W* w;
  ESPALIER_FN void operator()(Index i) const { w[i] = W(widen<A>(w[i]) + d[i]); }
};

}  // namespace kernel

namespace detail {

/// An adapter that can become part of its weight.
template <class Adapter>
concept Mergeable = requires(Adapter& adapter) {
  adapter.a.value;
  adapter.b.value;
  adapter.merged;
};

/// W ← W + factor s B A, a few rows at a time.
template <class Model>
void add_adapters(Model& model, double factor) {
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  Device& device = *model.run.device;
  for_each_projection(model, [&](const std::string&, auto& p) {
    if constexpr (Mergeable<decltype(p.adapter)>) {
      auto& adapter = p.adapter;
      if (!adapter.present() || adapter.merged == (factor > 0)) return;
      using W = std::remove_pointer_t<decltype(p.weight.view().data)>;
      Pass<Device> pass(model.run.workspace, {});
      const Index rows = p.out(), cols = p.in(),
                  step = std::min(rows, std::clamp<Index>((Index{1} << 20) / cols, 16, 512));
      auto panel = pass.template matrix<A>(step, cols);
      for (Index i = 0; i < rows; i += step) {
        const Index n = std::min(step, rows - i);
        const View<const A, 2> b = adapter.b.value.rows(i, n), a = adapter.a.value;
        device.gemm(A(factor * adapter.scale), b, a, A(0), panel.rows(0, n));
        device.for_each(n * cols, kernel::AddStored<W, A>{panel.data, p.weight.view().rows(i, n).data});
      }
      adapter.merged = factor > 0;
    }
  });
}

}  // namespace detail

/// W ← W0 + s B A. Adapters then rest, but remember themselves. A weight stored in bf16 is rounded once.
///                                                                                          Hu et al. 2021, section 4.1
template <class Model>
void merge(Model& model) {
  detail::add_adapters(model, +1);
}

/// W0 ← W − s B A, and adapters work again: what merge did, up to rounding.
template <class Model>
void unmerge(Model& model) {
  detail::add_adapters(model, -1);
}

}  // namespace espalier::inline v0
