// SPDX-License-Identifier: MIT
#pragma once
// Masks on single weights in training, by every kind of score that chooses them; and scores whose update moves the base.
#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/importance/sparse_gpt.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/weight_pruner.hpp>
#include <span>

#include "parity/whole.hpp"

namespace espalier::test::parity {

/// What rounding may change in the choice between weights that score nearly the same, as a share of all.
template <class Device>
inline constexpr double kOthers = precision_of<Device> == Precision::fp64 ? 0 : precision_of<Device> == Precision::fp32 ? 1e-3 : 5e-2;
/// Scores of an event follow from backward passes behind the masks of another one: in bf16 through one layer.
template <class Device>
LlamaConfig pruned_llama() {
  LlamaConfig config = small_llamas()[4].config;
  if (precision_of<Device> == Precision::bf16) config.layers = 1;
  return config;
}

/// A number as it is stored: one that has been stored so before.
template <class W>
W stored(double x) {
  if constexpr (std::is_same_v<W, BFloat16>) return W(float(x));
  else return W(x);
}

/// All base weights, and of each whether it is there.
template <class Model>
std::vector<double> base_of(Model& model) {
  std::vector<double> base;
  for_each_projection(model, [&](const std::string&, auto& p) {
    for (const double w : fetch(model.device(), p.weight.view().data, p.weight.size())) base.push_back(w);
  });
  return base;
}
template <class Model>
std::vector<double> bits_of(Model& model) {
  std::vector<double> bits;
  for_each_projection(model, [&](const std::string&, auto& p) {
    const auto words = p.weight_mask.words(model.device());
    const Index per_row = kernel::bit_words(p.in());
    for (Index i = 0; i < p.out(); ++i)
      for (Index j = 0; j < p.in(); ++j) bits.push_back(double(words[std::size_t(i * per_row + j / 32)] >> (j % 32) & 1));
  });
  return bits;
}
/// Gives a model these weights; and these of them.
template <class Model>
void put_base(Model& model, const std::vector<double>& base) {
  std::size_t at = 0;
  for_each_projection(model, [&](const std::string&, auto& p) {
    std::vector<typename Model::W> some;
    for (Index i = 0; i < p.weight.size(); ++i) some.push_back(stored<typename Model::W>(base[at++]));
    model.device().upload(p.weight.view().data, some.data(), p.weight.size());
  });
}
template <class Model>
void put_bits(Model& model, const std::vector<double>& bits) {
  std::size_t at = 0;
  for_each_projection(model, [&](const std::string&, auto& p) {
    const Index per_row = kernel::bit_words(p.in());
    std::vector<std::uint32_t> words(std::size_t(p.out() * per_row));
    for (Index i = 0; i < p.out(); ++i)
      for (Index j = 0; j < p.in(); ++j) words[std::size_t(i * per_row + j / 32)] |= std::uint32_t(bits[at++] != 0) << (j % 32);
    p.weight_mask.set(model.device(), words);
  });
}
/// Base weights of rows in which both have chosen alike: where a score changes them, each row by itself does so.
template <class Model>
void agree_by_rows(Outputs& out, Model& model, const std::vector<double>& bits, const std::vector<double>& base,
                   const std::vector<double>& other_bits, const std::vector<double>& other_base) {
  std::vector<double> own, others;
  std::size_t at = 0;
  for_each_projection(model, [&](const std::string&, auto& p) {
    for (Index i = 0; i < p.out(); ++i, at += std::size_t(p.in())) {
      const auto here = [&](const std::vector<double>& x) { return std::span(x).subspan(at, std::size_t(p.in())); };
      if (!std::equal(here(bits).begin(), here(bits).end(), here(other_bits).begin())) continue;
      own.insert(own.end(), here(base).begin(), here(base).end());
      others.insert(others.end(), here(other_base).begin(), here(other_base).end());
    }
  });
  out.holds("at least a quarter of the rows are alike", 4 * own.size() >= base.size());
  out.agree("base, in rows that are alike", own, others);
}

/// Two events, backward passes between them. Masks are chosen here, and those of the record are taken for what follows.
template <class Device, class Score>
void pruned_weights_case(Judge& judge, const std::string& score, const Score& importance, const WeightPattern& pattern) {
  using Model = Llama<Device, LowRankAdapter>;
  const std::string name = format("weights/{}, {}", score, pattern.name());
  run_case<Device>(judge, name, [&](Device& device, Thrice& thrice) {
    const LlamaConfig config = pruned_llama<Device>();
    const Tokens batch(config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      auto model = random_model<Model>(device, config, {.rank = 2, .alpha = 4});
      WeightPruner pruner(model, importance, pattern, LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5}, WeightPrunerOptions{.every = 1});
      for (int step = 0; step < 2; ++step) {
        clear_gradients(model);
        model.loss(batch);
        out.holds(format("something leaves in step {}", step), pruner.step() > 0.2);
      }
      out.holds("no score was refused", pruner.warnings().empty());
      const auto bits = bits_of(model), base = base_of(model);
      out.list.push_back({"masks", Match::most, bits, {}, kOthers<Device>});
      out.add("base", Match::kept, base);
      if (const auto* others = judge.reference(precision_of<Device>, name + "/masks")) {
        const auto& other_base = *judge.reference(precision_of<Device>, name + "/base");
        agree_by_rows(out, model, bits, base, *others, other_base);
        put_base(model, other_base), put_bits(model, *others);
      }
      out.add("logits", Match::near, logits_of(model, batch));
      out.add("gradients", Match::near, gradients_of(model, batch));
    });
  });
}

/// Units leave, and the weights that stay make up for them.
template <class Device>
void updated_units(Judge& judge) {
  using Model = Llama<Device, LowRankAdapter>;
  const std::string name = "weights/OBS with its update, units";
  run_case<Device>(judge, name, [&](Device& device, Thrice& thrice) {
    const LlamaConfig config = pruned_llama<Device>();
    const Tokens batch(config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      auto model = random_model<Model>(device, config, {.rank = 2, .alpha = 4});
      Pruner pruner(model, OBSImportance{.damp = 0.1, .update = true}, EMAMask{}, LinearSchedule{.begin = 0, .end = 2, .sparsity = 0.5},
                    PrunerOptions{.every = 1});
      for (int step = 0; step < 2; ++step) {
        clear_gradients(model);
        model.loss(batch);
        pruner.step();
      }
      std::vector<double> bits;
      model.groups([&](auto group) { bits.insert(bits.end(), group.mask->alive().begin(), group.mask->alive().end()); });
      out.add("masks", Match::exact, bits);
      out.add("base", Match::near, base_of(model));
      out.add("logits", Match::near, logits_of(model, batch));
      out.add("gradients", Match::near, gradients_of(model, batch));
    });
  });
}

template <class Device>
void weights(Judge& judge) {
  pruned_weights_case<Device>(judge, "movement", MovementImportance{}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "Taylor", TaylorImportance{}, WeightPattern::unstructured(Within::model));
  pruned_weights_case<Device>(judge, "full Taylor", FullTaylorImportance{}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "random", RandomImportance{.seed = 3}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "Wanda", WandaImportance{}, WeightPattern::unstructured(Within::row));
  pruned_weights_case<Device>(judge, "Wanda", WandaImportance{}, WeightPattern::n_of_m(2, 4));
  pruned_weights_case<Device>(judge, "Wanda", WandaImportance{}, WeightPattern::rows());
  pruned_weights_case<Device>(judge, "Taylor", TaylorImportance{}, WeightPattern::columns());
  pruned_weights_case<Device>(judge, "OBS with its update", OBSImportance{.damp = 0.1, .update = true}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "SparseGPT", SparseGPTImportance{.damp = 0.1, .block = 32}, WeightPattern::unstructured());
  pruned_weights_case<Device>(judge, "SparseGPT", SparseGPTImportance{.damp = 0.1, .block = 32}, WeightPattern::n_of_m(2, 4));
  updated_units<Device>(judge);
}

}  // namespace espalier::test::parity
