// SPDX-License-Identifier: MIT
// A block and a score of one's own, registered nowhere: a GPT-2 whose attention and feed-forward layer work side by side.
// All that defines them stands above main, which trains the model and prunes it.
#include <espalier/espalier.hpp>
#include <espalier/backend/cpu.hpp>

#include <cstdio>

namespace esp = espalier;
using Device = esp::Cpu<float>;

/// y = x + attention(norm₁(x)) + mlp(norm₂(x)): both at once.                Wang & Komatsuzaki 2021; Black et al. 2022
template <class D, class Norm, class Mixer, class Mlp, class Names>
struct ParallelBlock : esp::PreNormBlock<D, Norm, Mixer, Mlp, Names> {  // whose parts, names and groups it has
  using Base = esp::PreNormBlock<D, Norm, Mixer, Mlp, Names>;
  using T = typename D::Activation;
  using Base::Base, Base::input_layernorm, Base::post_attention_layernorm, Base::self_attn, Base::mlp;

  esp::View<T, 2> forward(esp::Pass<D>& pass, esp::View<const T, 2> x, auto& act, const auto& context) const {
    act.x = x;
    auto y = self_attn.forward(pass, input_layernorm.forward(pass, x, act.input_norm), act.attention, context);
    const auto m = mlp.forward(pass, post_attention_layernorm.forward(pass, x, act.middle_norm), act.feed_forward);
    act.attention.o.y = {};  // overwritten in place
    pass.device.for_each(y.size(), esp::kernel::Accumulate<T>{x.data, y.data});
    pass.device.for_each(y.size(), esp::kernel::Accumulate<T>{m.data, y.data});
    return y;
  }
  void backward(esp::Pass<D>& pass, esp::View<const T, 2> dy, auto& act, esp::View<T, 2> dx, const auto& context) {
    auto scratch = pass.scratch();
    auto da = scratch.zeros(dy.rows(), dy.cols()), dm = scratch.zeros(dy.rows(), dy.cols());
    self_attn.backward(scratch, dy, act.attention, da, context);
    mlp.backward(scratch, dy, act.feed_forward, dm);
    if (!dx) return;
    input_layernorm.backward(scratch, da, act.input_norm, dx);
    post_attention_layernorm.backward(scratch, dm, act.middle_norm, dx);
    pass.device.for_each(dx.size(), esp::kernel::Accumulate<T>{dy.data, dx.data});
  }
  void prune_by(D&, esp::Granularity by) {  // what leaves whole would have to leave the sum
    esp::require(by == esp::Granularity::groups, "parallel blocks are pruned by heads and channels");
  }
};
struct ParallelFamily : esp::Gpt2Family {
  template <class D, template <class> class Adapter>
  using Stem = esp::Gpt2Stem<D, Adapter, ParallelBlock>;
};

/// (s B U)²: how far training has moved a weight, added over the weights of a unit.
struct Drift {
  esp::LowRankTerm<float> moved;
  ESPALIER_FN float operator()(esp::Index i, esp::Index j) const {
    float sum = 0;
    for (esp::Index k = 0; k < moved.u.rows(); ++k) sum += float(moved.scale) * moved.b(i, k) * moved.u(k, j);
    return sum * sum;
  }
};
struct DriftImportance {
  static constexpr esp::Needs needs = esp::Needs::nothing;  // but the weights
  void score(auto& pass, const auto& p, esp::Axis axis, auto out) const {
    esp::add_scores(pass.device, Drift{p.adapter.term(pass, p.weight.view())}, p.out(), p.in(), axis, out);
  }
  ESPALIER_FN auto finish(auto sum, esp::Index) const { return sum; }
  void settings(auto&& f) const { f("importance", "drift"); }
};

int main(int, char** argv) try {
  Device device;
  esp::LanguageModel<Device, esp::LowRankAdapter, ParallelFamily> model(
      device, {.vocab = 256, .hidden = 32, .layers = 2, .heads = 4, .groups = 4, .head_dim = 8, .feed_forward = 64, .max_positions = 64},
      {.rank = 8, .targets = {"c_attn", "c_proj", "c_fc"}});
  std::uint32_t number = 0;
  esp::for_each_tensor(model, [&](const std::string& name, auto& t) {  // there is no checkpoint of it
    const esp::RandomStream random{1, esp::Purpose::initialisation, number++};
    for (esp::Index i = 0; i < t.size(); ++i)
      t.view().data[i] = name.find("ln_") != name.npos && name.ends_with("weight") ? 1 : float(random.uniform(std::uint64_t(i)) - 0.5) / 2;
  });
  esp::initialise(model, 1);

  const esp::TokenFile text(argv[1] && argv[2] ? argv[2] : "models/demo/text/second.txt");
  const auto loss = [&] { return esp::evaluate(model, text, {.length = 32, .at_most = 32}).loss; };
  esp::AdamW optimizer(model);
  esp::Pruner pruner(model, DriftImportance{}, esp::EMAMask{}, esp::CubicSchedule{.begin = 20, .end = 80, .sparsity = 0.5});
  esp::Trainer trainer(model, optimizer, pruner, text.batches({.size = 8, .length = 32, .steps = 100}), {.rate = {.peak = 1e-2}});
  const double before = loss();
  const double sparsity = trainer.run().sparsity;
  const double masked = loss();
  esp::compact(model);
  std::printf("loss %.3f, and %.3f without %.0f %% of heads and channels (%.3f when they have left)\n", before, masked, 100 * sparsity, loss());
  return sparsity > 0.4 && masked < before - 0.5 && std::abs(loss() - masked) < 1e-3 ? 0 : 1;
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
