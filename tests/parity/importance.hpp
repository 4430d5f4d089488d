// SPDX-License-Identifier: MIT
#pragma once
// Every score: of one projection by rows and by columns, and of whole models in every normalisation, running averages
// included.
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/weight_pruner.hpp>
#include <limits>

#include "parity/llamas.hpp"
#include "support/scores.hpp"

namespace espalier::test::parity {

/// A projection beyond every tile, with gradients and all that passes by during backward.
template <class Device>
struct Scored {
  using X = typename Device::Activation;
  using A = typename Device::Accumulate;
  static constexpr Index kTokens = 33, kIn = 261, kOut = 101;

  explicit Scored(Device& d)
      : device(d), projection(d, kIn, kOut, true, "p", {.rank = 3, .alpha = 6}), workspace(d),
        x(on_device(d, activations<Device>(kTokens * kIn, 11))), y(on_device(d, activations<Device>(kTokens * kOut, 12))),
        dy(on_device(d, activations<Device>(kTokens * kOut, 13))), dx(on_device(d, activations<Device>(kTokens * kIn, 14))),
        score(d, kIn) {
    arena.bind(d, [&](auto&& f) { for_each_parameter(projection, [&](const auto&, auto& p) { f(p); }); });
    randomise(d, projection, 3);
    d.upload(arena.grad(), drawn<A>(arena.size(), 5).data(), arena.size());
    StepState step;
    step.clip = 0.5;
    state = on_device(d, std::vector<StepState>{step});
  }
  template <class Score>
  void by(Outputs& out, const std::string& name, const Score& importance) {
    for (const Axis axis : {Axis::rows, Axis::columns}) {
      const auto sums = vector(score.data(), axis == Axis::rows ? kOut : kIn);
      device.for_each(sums.size(), kernel::Fill<A>{sums.data, A(0)});
      Pass<Device> pass(workspace, {1, kTokens}, state.data());
      if constexpr (Score::needs == Needs::backward) {
        const typename Probe<Linear<Device, LowRankAdapter>>::Sight sight{
            matrix<const X>(x.data(), kTokens, kIn), matrix<const X>(y.data(), kTokens, kOut),
            matrix<const X>(dy.data(), kTokens, kOut), matrix<const X>(dx.data(), kTokens, kIn)};
        importance.observe(pass, projection, axis, sight, sums);
      } else if constexpr (reads_inputs(Score::needs)) {
        if (!espalier::detail::reads<Score>(axis)) continue;
        InputStatistics<Device> seen(device, kIn, Score::needs == Needs::input_squares ? InputStatistic::squares
                                                                                      : InputStatistic::products);
        seen.add(pass, matrix<const X>(x.data(), kTokens, kIn));
        importance.score(pass, projection, axis, seen.inputs(), sums);
      } else {
        importance.score(pass, projection, axis, sums);
      }
      out.near(device, name + (axis == Axis::rows ? ", rows" : ", columns"), sums);
    }
  }

  Device& device;
  Linear<Device, LowRankAdapter> projection;
  Workspace<Device> workspace;
  ParameterArena<Device> arena;
  typename Device::template Buffer<X> x, y, dy, dx;
  typename Device::template Buffer<A> score;
  typename Device::template Buffer<StepState> state;
};

template <class Device>
void scores_of_a_projection(Judge& judge) {
  run_case<Device>(judge, "importance/one projection", [](Device& device, Thrice& thrice) {
    Scored<Device> scored(device);
    thrice([&](Outputs& out) {
      scored.by(out, "Taylor", TaylorImportance{});
      scored.by(out, "Taylor, abs, scaled", TaylorImportance{.power = Power::abs, .eta = 0.5, .scaled = true});
      scored.by(out, "Taylor, as published", TaylorImportance{}.as_official());
      scored.by(out, "full Taylor", FullTaylorImportance{});
      scored.by(out, "full Taylor, abs", FullTaylorImportance{Power::abs});
      scored.by(out, "signed Taylor", SignedTaylorImportance{});
      scored.by(out, "magnitude", MagnitudeImportance{});
      scored.by(out, "movement", MovementImportance{});
      scored.by(out, "Wanda", WandaImportance{});
      scored.by(out, "OBS", OBSImportance{.damp = 1});
    });
  });
}

inline const char* name_of(Normalise n) { return n == Normalise::none ? "none" : n == Normalise::alive ? "alive" : "all"; }

/// Scores of all units of a model, some of them masked.
template <class Device, class Score>
void scores_of_a_model(Judge& judge, const std::string& name, const Score& importance, std::size_t llama = 1) {
  run_case<Device>(judge, "importance/model/" + name, [&](Device& device, Thrice& thrice) {
    LlamaConfig config = small_llamas()[llama].config;
    // A square has twice the relative error of its root: in bf16 there are too many roundings in two layers.
    if (precision_of<Device> == Precision::bf16) config.layers = 1;
    auto model = random_llama(device, config, {.rank = 2, .alpha = 4});
    mask_every(model, 5);
    const Tokens batch(model.config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      for (const Normalise normalise : {Normalise::none, Normalise::alive, Normalise::all}) {
        clear_gradients(model);
        const auto groups = group_scores(model, importance, normalise, [&] { model.loss(batch); });
        for (std::size_t g = 0; g < groups.size(); ++g)
          out.add(format("normalised by {}, group {}", name_of(normalise), g), Match::near, groups[g]);
      }
    });
  });
}

/// The running average over three different batches, and then a gradient that is not a number.
template <class Device>
void running_scores(Judge& judge) {
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "importance/running average", [](Device& device, Thrice& thrice) {
    auto model = random_llama(device, small_llamas()[1].config, {.rank = 2, .alpha = 4});
    thrice([&](Outputs& out) {
      Scores<std::remove_reference_t<decltype(model)>> scores(model);
      auto candidates = scores.units().candidates({});
      const auto look = [&](const std::string& name) {
        int warned = 0;
        scores.download(candidates, [&](const std::string&, Index times, bool) { warned += int(times); });
        std::vector<double> all;
        for (const Candidates& c : candidates) all.insert(all.end(), c.scores.begin(), c.scores.end());
        out.add(name, Match::near, all);
        out.add(name + ": not finite", Match::exact, {double(warned)});
      };
      for (const std::uint64_t seed : {1, 2, 3}) {
        clear_gradients(model);
        model.loss(Tokens(model.config.vocab, {2, 19}, seed));
        scores.update(TaylorImportance{}, EMAMask{.decay = 0.75}, Normalise::alive);
      }
      look("three batches");
      const std::vector<A> bad(1, std::numeric_limits<A>::quiet_NaN());
      for_each_parameter(model.model.layers[0].self_attn.q_proj, [&](const auto&, auto& p) { device.upload(p.grad.data, bad.data(), 1); });
      scores.update(TaylorImportance{}, EMAMask{.decay = 0.75}, Normalise::alive);
      look("a gradient that is not a number");
    });
  });
}

/// A sum over three different batches, in which units that are masked go on moving.
template <class Device>
void summed_scores(Judge& judge) {
  run_case<Device>(judge, "importance/sum over steps", [](Device& device, Thrice& thrice) {
    LlamaConfig config = small_llamas()[0].config;
    if (precision_of<Device> == Precision::bf16) config.layers = 1;
    auto model = random_llama(device, config, {.rank = 2, .alpha = 4});
    mask_every(model, 3, /*straight_through=*/true);
    const MovementImportance movement{.rate = 0.5};
    thrice([&](Outputs& out) {
      model.run.restore();
      Scores<std::remove_reference_t<decltype(model)>> scores(model);
      auto candidates = scores.units().candidates({});
      for (const std::uint64_t batch : {1, 2, 3}) {
        scores.watch(movement);
        model.loss(Tokens(config.vocab, {4, 19}, batch + 9));
        scores.update(movement, SumMask{}, Normalise::none);
        scores.download(candidates, [](const auto&...) {});
        for (const Candidates& c : candidates) out.add(format("{} batches, {} of {}", batch, c.kind, c.place()), Match::near, c.scores);
      }
      scores.unwatch();
    });
  });
}

/// Of equal scores the lower index leaves first, through a whole event.
template <class Device>
void equal_scores(Judge& judge) {
  run_case<Device>(judge, "importance/equal scores", [](Device& device, Thrice& thrice) {
    thrice([&](Outputs& out) {
      for (const Ranking ranking : {Ranking::local, Ranking::global}) {
        Llama<Device, LowRankAdapter> model(device, small_llamas()[0].config, {.targets = {"nothing"}});
        for_each_projection(model, [&](const std::string&, auto& p) {
          using W = typename std::remove_reference_t<decltype(p)>::W;
          device.for_each(p.weight.size(), kernel::Fill<W>{p.weight.view().data, W(0.5f)});
        });
        Pruner pruner(model, MagnitudeImportance{}, EMAMask{}, LinearSchedule{.begin = 0, .end = 4, .sparsity = 0.5},
                      PrunerOptions{.every = 1, .ranking = ranking});
        for (int step = 0; step < 4; ++step) {
          pruner.step();
          std::vector<double> bits;
          model.groups([&](auto group) { bits.insert(bits.end(), group.mask->alive().begin(), group.mask->alive().end()); });
          out.add(format("masks, {}, step {}", ranking == Ranking::local ? "local" : "global", step), Match::exact, bits);
        }
      }
    });
  });
}

/// Bits of single weights, whatever their pattern: exactly the same ones everywhere.
template <class Device>
void weight_masks(Judge& judge) {
  run_case<Device>(judge, "importance/masks on weights", [](Device& device, Thrice& thrice) {
    thrice([&](Outputs& out) {
      for (const WeightPattern& pattern :
           {WeightPattern::unstructured(Within::row), WeightPattern::unstructured(), WeightPattern::unstructured(Within::model),
            WeightPattern::n_of_m(2, 4), WeightPattern::n_of_m(3, 6), WeightPattern::blocks(3, 5), WeightPattern::blocks(3, 4, Within::model),
            WeightPattern::rows(Within::model), WeightPattern::columns(), WeightPattern::columns(Within::model)}) {
        auto model = random_llama(device, small_llamas()[0].config, {.targets = {"nothing"}});
        WeightPruner pruner(model, MagnitudeImportance{}, pattern, LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5},
                            WeightPrunerOptions{.every = 1});
        for (int step = 0; step < 2; ++step) {
          pruner.step();
          std::vector<double> words;
          for_each_projection(model, [&](const std::string&, auto& p) {
            if (p.weight_mask.present())
              for (const std::uint32_t w : p.weight_mask.words(device)) words.push_back(double(w));
          });
          out.add(format("{} within {}, step {}", pattern.name(), espalier::name_of(pattern.within), step), Match::exact, words);
        }
      }
    });
  });
}

template <class Device>
void importance(Judge& judge) {
  scores_of_a_projection<Device>(judge);
  scores_of_a_model<Device>(judge, "Taylor", TaylorImportance{});
  scores_of_a_model<Device>(judge, "Taylor, abs", TaylorImportance{.power = Power::abs});
  scores_of_a_model<Device>(judge, "full Taylor", FullTaylorImportance{});
  const Power power = precision_of<Device> == Precision::bf16 ? Power::abs : Power::square;  // sums that cancel, too
  scores_of_a_model<Device>(judge, "signed Taylor", SignedTaylorImportance{power});
  scores_of_a_model<Device>(judge, "movement", MovementImportance{}, 0);  // sums with a sign: of four heads not all cancel
  scores_of_a_model<Device>(judge, "magnitude", MagnitudeImportance{});
  scores_of_a_model<Device>(judge, "Wanda", WandaImportance{});
  scores_of_a_model<Device>(judge, "OBS", OBSImportance{.damp = 1});
  scores_of_a_model<Device>(judge, "random", RandomImportance{.seed = 3});
  running_scores<Device>(judge);
  summed_scores<Device>(judge);
  equal_scores<Device>(judge);
  weight_masks<Device>(judge);
}

}  // namespace espalier::test::parity
