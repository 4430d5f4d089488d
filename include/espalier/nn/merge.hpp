// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/dtype.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/term.hpp>
#include <espalier/nn/group.hpp>
#include <utility>

namespace espalier::inline v0 {

namespace detail {

/// W ← W ± s B U, a few rows at a time, and the bias the same way where the adapter stands behind it.
template <class Model>
void add_adapters(Model& model, bool merging) {
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  Device& device = *model.run.device;
  const auto masks = output_masks(model);
  for_each_projection(model, [&](const std::string&, auto& p) {
    if constexpr (AddsTerm<decltype(p.adapter)>) {
      auto& adapter = p.adapter;
      if (!adapter.present() || adapter.merged == merging) return;
      using W = std::remove_pointer_t<decltype(p.weight.view().data)>;
      Pass<Device> pass(model.run.workspace, {});
      const Index rows = p.out(), cols = p.in(),
                  step = std::min(rows, std::clamp<Index>((Index{1} << 20) / cols, 16, 512));
      auto panel = pass.template matrix<A>(step, cols);
      const auto masked = masks.find(&p);
      const auto mask = masked == masks.end() ? OutputMask<A>{} : masked->second;
      const auto term = [&](auto w) {
        return merging ? adapter.term(pass, w, mask) : adapter.inverse_term(pass, w, mask);
      };
      const auto added = term(std::as_const(p.weight).view());
      for (Index i = 0; i < rows; i += step) {
        const Index n = std::min(step, rows - i);
        write_term(device, added, !merging, i, panel.rows(0, n));
        device.for_each(n * cols, kernel::AddStored<W, A>{panel.data, p.weight.view().rows(i, n).data});
      }
      if (adapter.kInput == Axis::rows && !p.bias.empty()) {
        const auto bias = matrix(p.bias.view().data, rows, Index{1});
        const auto shifted = term(View<const A, 2>(bias));
        device.gemm(A(merging ? shifted.scale : -shifted.scale), shifted.b, shifted.u, A(1), bias);
      }
      adapter.merged = merging;
    }
  });
}

/// Weights that a mask removes are zeros from now on, and no longer zeros in name only.
template <class Model>
void zero_removed(Model& model) {
  for_each_projection(model, [&](const std::string&, auto& p) {
    using W = std::remove_pointer_t<decltype(p.weight.view().data)>;
    if (p.weight_mask) model.run.device->for_each_row(p.out(), kernel::ZeroRemoved<W>{p.weight_mask.bits(), p.weight.view()});
  });
}

}  // namespace detail

/// W ← W0 + s B A, or (I + s B A) W0 with sequential adapters, and b likewise; masks on single weights become
/// zeros. Adapters then rest, but remember themselves. A weight stored in bf16 is rounded once.
///                                                                                          Hu et al. 2021, section 4.1
template <class Model>
void merge(Model& model) {
  detail::add_adapters(model, true);
  detail::zero_removed(model);
}

/// W0 ← what it was, and adapters work again: what merge did, up to rounding. What a mask on single weights has made zero
/// stays so: of W0 + s B A, that is.
template <class Model>
void unmerge(Model& model) {
  detail::add_adapters(model, false);
}

}  // namespace espalier::inline v0
