// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/dropout.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0 {

/// How A starts. B starts at zero, so that a fresh adapter changes nothing.
enum class AdapterInit {
  peft,      ///< A uniform in ±1/√in
  gaussian,  ///< A normal with standard deviation 1/rank
};

struct LowRankOptions {
  Index rank = 8;
  double alpha = 16;
  double dropout = 0;            ///< on the adapter's input, in [0, 1)
  bool rank_stabilised = false;  ///< s = alpha/√rank instead of alpha/rank                     Kalajdzievski 2023
  AdapterInit init = AdapterInit::peft;
  /// Names of linear maps, e.g. "q_proj" or "layers.0.self_attn.q_proj"; empty: every linear map of the blocks.
  std::vector<std::string> targets = {};

  /// A name is a target when it equals an entry or ends in "." + entry.
  bool matches(std::string_view path) const {
    if (targets.empty()) return true;
    for (const std::string& t : targets)
      if (path == t || (path.size() > t.size() && path.ends_with(t) && path[path.size() - t.size() - 1] == '.'))
        return true;
    return false;
  }
  double scale() const { return rank_stabilised ? alpha / std::sqrt(double(rank)) : alpha / double(rank); }
};

/// y += s (x Aᵀ) Bᵀ,   A: (rank, in), B: (out, rank).                                              Hu et al. 2021, eq. 3
/// dB += s dyᵀz,  dz = s dy B,  dA += dzᵀx,  dx += dz A,  z = x Aᵀ; with dropout x stands for its dropped-out form.
template <Backend Device>
class LowRankAdapter {
 public:
  using T = typename Device::Accumulate;
  using X = typename Device::Activation;
  using Options = LowRankOptions;
  struct Activations {
    View<const X, 2> x;  // (tokens, in)
    View<const T, 2> z;  // (tokens, rank)
  };

  LowRankAdapter() = default;
  LowRankAdapter(Device&, Index in, Index out, const std::string& path, const Options& options) {
    require(options.rank >= 1, "adapter: rank is {}, expected at least 1", options.rank);
    require(options.dropout >= 0 && options.dropout < 1, "adapter: dropout is {}, expected 0 <= p < 1", options.dropout);
    if (!options.matches(path)) return;
    a = Parameter<Device>(options.rank, in), b = Parameter<Device>(out, options.rank);
    scale = options.scale(), dropout = options.dropout, full_in = in;
  }

  bool present() const { return a.rows > 0; }
  bool active() const { return present() && !merged; }
  Index rank() const { return a.rows; }

  void forward(Pass<Device>& pass, View<const X, 2> x, View<X, 2> y, Activations& act) const {
    if (!active()) return;
    auto z = pass.template matrix<T>(x.rows(), rank());
    {
      auto scratch = pass.scratch();
      const auto in = dropping(pass) ? dropped(scratch, x) : x;
      pass.device.gemm(T(1), in, a.value.t(), T(0), z);
    }
    pass.device.gemm(T(scale), z, b.value.t(), T(1), y);
    act = {x, z};
  }

  void backward(Pass<Device>& pass, View<const X, 2> dy, const Activations& act, View<X, 2> dx) {
    if (!active()) return;
    auto scratch = pass.scratch();
    auto dz = scratch.template matrix<T>(act.z.rows(), rank());
    pass.device.gemm(T(scale), dy.t(), act.z, T(1), b.grad);
    pass.device.gemm(T(scale), dy, b.value, T(0), dz);
    const View<const T, 2> dzc = dz;
    pass.device.gemm(T(1), dzc.t(), dropping(pass) ? dropped(scratch, act.x) : act.x, T(1), a.grad);
    if (!dx) return;
    if (!dropping(pass)) {
      pass.device.gemm(T(1), dzc, a.value, T(1), dx);
    } else {
      auto d = scratch.template matrix<X>(dx.rows(), dx.cols());
      pass.device.gemm(T(1), dzc, a.value, T(0), d);
      pass.device.for_each_row(d.rows(), drop(pass, d, /*add=*/true, dx));
    }
  }

  /// PEFT's names, so that the path of a parameter is its name in an adapter file.
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    if (!self.present()) return;
    f("lora_A.weight", self.a);
    f("lora_B.weight", self.b);
  }

  Parameter<Device> a, b;  // (rank, in), (out, rank)
  double scale = 0, dropout = 0;
  bool merged = false;         ///< s B A is part of the weight for now: the adapter rests
  std::uint32_t stream = 0;    ///< number of the adapter in its model: which random numbers are its own
  Index full_in = 0;           ///< columns of A in the uncompacted model
  Tensor<Device, int, 1> origin{};  ///< (in) column in the uncompacted model; empty before compaction

 private:
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
