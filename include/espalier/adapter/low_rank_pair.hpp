// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/adapter/low_rank_options.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/dropout.hpp>
#include <espalier/kernel/term.hpp>

namespace espalier::inline v0 {

/// What low-rank adapters of either kind consist of: two thin matrices, the scale of their product, and dropout on what
/// A takes in.
template <Backend Device>
struct LowRankPair {
  using T = typename Device::Accumulate;
  using X = typename Device::Activation;
  using Options = LowRankOptions;

  LowRankPair() = default;
  /// A takes `in` numbers, B gives `out`.
  LowRankPair(Index in, Index out, const std::string& path, const Options& options) {
    require(options.rank >= 1, "adapter: rank is {}, expected at least 1", options.rank);
    require(options.dropout >= 0 && options.dropout < 1, "adapter: dropout is {}, expected 0 <= p < 1", options.dropout);
    if (!options.matches(path)) return;
    a = Parameter<Device>(options.rank, in), b = Parameter<Device>(out, options.rank);
    scale = options.scale(), dropout = options.dropout, full_in = in;
  }

  bool present() const { return a.rows > 0; }
  bool active() const { return present() && !merged; }
  Index rank() const { return a.rows; }

  /// PEFT's names, so that the path of a parameter is its name in an adapter file.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if (!self.present()) return;
    f("lora_A.weight", self.a);
    f("lora_B.weight", self.b);
  }

  Parameter<Device> a, b;  // (rank, in), (out, rank)
  double scale = 0, dropout = 0;
  bool merged = false;         ///< what the adapter does is part of the weight for now: it rests
  std::uint32_t stream = 0;    ///< number of the adapter in its model: which random numbers are its own
  Index full_in = 0;           ///< columns of A in the uncompacted model
  Tensor<Device, int, 1> origin{};  ///< (in) column in the uncompacted model; empty before compaction

 protected:
  bool dropping(const Pass<Device>& pass) const { return pass.training && dropout > 0; }
  kernel::Dropout<X> drop(Pass<Device>& pass, View<const X, 2> x, bool add, View<X, 2> y) const {
    return {x, dropout, stream, pass.state, origin.empty() ? nullptr : origin.view().data, full_in, add, y};
  }
  View<const X, 2> dropped(Pass<Device>& scratch, View<const X, 2> x) const {
    auto y = scratch.template matrix<X>(x.rows(), x.cols());
    scratch.device.for_each_row(x.rows(), drop(scratch, x, /*add=*/false, y));
    return y;
  }
};

}  // namespace espalier::inline v0
