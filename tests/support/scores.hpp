// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/prune/scores.hpp>
#include <vector>

namespace espalier::test {

/// Follows a score without smoothing it.
struct Latest {
  template <class Device, class A>
  void smooth(Device& device, View<const A, 1> fresh, View<A, 1> running, int*) const {
    device.for_each(fresh.shape[0], kernel::Copy<A, A>{fresh.data, running.data});
  }
};

/// Scores of the units of every group of a model, from gradients that are there. For scores that watch backward,
/// `backward` is run in between.
template <class Model, class Score, class Backward>
std::vector<std::vector<double>> group_scores(Model& model, const Score& importance, Normalise normalise,
                                              Backward&& backward) {
  model.run.restore();
  Scores<Model> scores(model);
  scores.prepare_for(importance);
  if constexpr (watches_backward(Score::needs)) scores.watch(importance);
  backward();
  scores.update(importance, Latest{}, normalise);
  auto candidates = scores.units().candidates({});
  scores.download(candidates, [](const auto&...) {});
  scores.unwatch();
  std::vector<std::vector<double>> out;
  for (const Candidates& c : candidates) out.push_back(c.scores);
  return out;
}
template <class Model, class Score>
std::vector<double> unit_scores(Model& model, const Score& importance, Normalise normalise = Normalise::none) {
  return group_scores(model, importance, normalise, [] {}).front();
}

}  // namespace espalier::test
