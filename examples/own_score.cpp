// SPDX-License-Identifier: MIT
// A score of one's own: a struct with one verb, registered nowhere. Prunes half of a model at once and measures the damage.
#include <espalier/espalier.hpp>
#include <espalier/backend/cpu.hpp>

#include <cstdio>
#include <string>

namespace esp = espalier;

/// W(i, j)². Kernels are named structs at namespace scope, so that a device compiler takes them as they are.
template <class W, class A>
struct Square {
  esp::View<const W, 2> weight;  // (out, in)
  ESPALIER_FN A operator()(esp::Index i, esp::Index j) const {
    const A w = esp::widen<A>(weight(i, j));
    return w * w;
  }
};

/// ‖W‖ of each projection's part of a unit, added over its projections.
struct NormImportance {
  static constexpr esp::Needs needs = esp::Needs::nothing;  // no gradient is asked for

  template <class Device, class Projection, class A>
  void score(esp::Pass<Device>& pass, const Projection& p, esp::Axis axis, esp::View<A, 1> out) const {
    esp::add_scores(pass.device, Square<typename Projection::W, A>{p.weight.view()}, p.out(), p.in(), axis, out);
  }
  template <class A>
  ESPALIER_FN A finish(A sum, esp::Index) const {
    using std::sqrt;
    return sqrt(sum);
  }
  template <class F>
  void settings(F&& f) const {
    f("importance", "norm");
  }
};

int main(int argc, char** argv) try {
  const std::string from = argc > 1 ? argv[1] : "models/demo", data = argc > 2 ? argv[2] : "models/demo/text/second-val.txt";
  esp::Cpu<float> device;
  auto model = esp::load<esp::Llama<esp::Cpu<float>, esp::Frozen>>(device, from);
  const esp::TokenFile text(data);
  const esp::EvaluateOptions some{.length = 128, .at_most = 16};

  const double before = esp::evaluate(model, text, some).perplexity;
  esp::Pruner pruner(model, NormImportance{}, esp::EMAMask{}, esp::LinearSchedule{.end = 1, .sparsity = 0.5}, {.every = 1});
  const double sparsity = pruner.step();
  const double after = esp::evaluate(model, text, some).perplexity;
  std::printf("perplexity %.2f, and %.2f without %.0f %% of heads and channels\n", before, after, 100 * sparsity);
  return sparsity > 0.4 && after > before ? 0 : 1;
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
