// SPDX-License-Identifier: MIT
#pragma once
// Whole models: logits, loss and gradients; and the laws that a device has to keep by itself.
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>

#include "parity/llamas.hpp"

namespace espalier::test::parity {

template <class Device>
void model_case(Judge& judge, const NamedLlama& llama, bool recompute, bool masked, bool straight_through, double dropout) {
  const std::string name = format("models/{}{}{}{}", llama.name, recompute ? ", recomputed" : "",
                                  !masked ? "" : straight_through ? ", straight-through mask" : ", masked", dropout > 0 ? ", dropout" : "");
  run_case<Device>(judge, name, [&](Device& device, Thrice& thrice) {
    auto config = llama.config;
    config.attention_dropout = dropout;
    auto model = random_llama(device, config, {.rank = 2, .alpha = 4, .dropout = dropout});
    model.recompute = recompute;
    if (masked) mask_every(model, 2, straight_through);
    const Tokens batch(llama.config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      clear_gradients(model);
      out.add("logits", Match::near, as_doubles(model.logits(batch.tokens, batch.shape)));
      const auto evaluated = model.evaluate(batch);
      out.add("loss without gradients", Match::near, {double(evaluated)});
      const auto loss = model.loss(batch);
      out.add("loss", Match::near, {double(loss)});
      if constexpr (precision_of<Device> == Precision::bf16) {
        // Two layers are some twenty roundings in a row, half of the bound on average and more in a tensor of a few
        // numbers: all gradients together. By themselves they are compared in the cases of modules.
        out.near(device, "gradients", vector(model.run.arena.grad(), model.run.arena.size()));
      } else {
        for_each_parameter(model, [&](const std::string& path, auto& p) { out.near(device, path, p.grad); });
      }
    });
  });
}

/// Merged and unmerged, masked and compacted, recomputed and kept: one function.
template <class Device>
void model_laws(Judge& judge, const NamedLlama& llama, Granularity granularity = Granularity::groups) {
  const std::string name = granularity == Granularity::groups ? "" : format(", by {}", espalier::name_of(granularity));
  run_case<Device>(judge, format("models/laws/{}{}", llama.name, name), [&](Device& device, Thrice& thrice) {
    const Tokens batch(llama.config.vocab, {2, 19});
    thrice([&](Outputs& out) {
      auto model = random_llama(device, llama.config, {.rank = 2, .alpha = 4});
      const auto logits = [&] { return as_doubles(model.logits(batch.tokens, batch.shape)); };
      const auto plain = logits();
      merge(model);
      out.agree("merged == unmerged", logits(), plain);
      unmerge(model);
      out.agree("merged and back", logits(), plain);
      model.prune_by(granularity);
      mask_every(model, 2);
      const auto masked = logits();
      out.holds("masks change the logits", masked != plain);
      const double masked_loss = model.loss(batch);
      const auto before = fetch(device, model.run.arena.grad(), model.run.arena.size());
      compact(model);
      out.agree("masked == compacted", logits(), masked);
      out.agree("loss: masked == compacted", {double(model.evaluate(batch))}, {masked_loss});
      clear_gradients(model);
      model.loss(batch);
      const auto kept = fetch(device, model.run.arena.grad(), model.run.arena.size());
      clear_gradients(model);
      model.recompute = true;
      model.loss(batch);
      out.agree("recomputed == kept", fetch(device, model.run.arena.grad(), model.run.arena.size()), kept, Match::exact);
      out.add("gradients of the compacted", Match::near, kept);
      out.holds("the compacted model has fewer gradients", kept.size() < before.size());
    });
  });
}

template <class Device>
void models(Judge& judge) {
  for (const NamedLlama& llama : small_llamas()) {
    for (const bool recompute : {false, true}) model_case<Device>(judge, llama, recompute, false, false, 0);
    model_laws<Device>(judge, llama);
  }
  const NamedLlama grouped = small_llamas()[1];
  for (const Granularity g : {Granularity::queries, Granularity::layers, Granularity::hidden}) model_laws<Device>(judge, grouped, g);
  for (const bool straight_through : {false, true}) model_case<Device>(judge, grouped, false, true, straight_through, 0);
  for (const bool recompute : {false, true}) model_case<Device>(judge, grouped, recompute, false, false, 0.3);
}

}  // namespace espalier::test::parity
