// SPDX-License-Identifier: MIT
// Fine-tunes a GPT-2 on a text, prunes it in the same run, and lets a trainer do the loop: checkpoints, clipping, evaluation.
#include <espalier/backend/cpu.hpp>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/espalier.hpp>

#include <cstdio>
#include <string>

namespace esp = espalier;
using Device = esp::Cpu<float>;
using Model = esp::Gpt2<Device, esp::LowRankAdapter>;

/// Tells about the run.
struct Told : esp::Silent {
  void on_evaluation(const esp::EvaluationReport& r) {
    std::printf("step %3d   perplexity %.2f\n", int(r.step), r.result.perplexity);
  }
};

int main(int argc, char** argv) try {
  const std::string from = argc > 1 ? argv[1] : "gpt2/";          // as save_pretrained writes it
  const std::string data = argc > 2 ? argv[2] : "train.txt";      // or token ids: .bin, .jsonl
  const std::string words = argc > 3 ? argv[3] : from;            // where tokenizer.json is
  const std::string to = argc > 4 ? argv[4] : "pruned-gpt2";

  Device device;
  auto model = esp::load<Model>(device, from, {.rank = 8, .alpha = 16, .targets = {"c_attn", "c_proj", "c_fc"}});
  auto tokenizer = esp::Tokenizer::from(words);
  const auto [train, held_out] = esp::TokenFile(data, tokenizer).split(0.1);

  esp::AdamW optimizer(model);
  esp::Pruner pruner(model, esp::TaylorImportance{}, esp::EMAMask{}, esp::CubicSchedule{.begin = 10, .end = 50, .sparsity = 0.3});
  const auto measured = [&, &held = held_out] { return esp::evaluate(model, held, {.length = 16, .at_most = 16}); };
  esp::Trainer trainer(model, optimizer, pruner, train.batches({.size = 8, .length = 16, .steps = 60}),
                       {.rate = {.peak = 5e-3, .warmup = 5}, .validation = measured, .evaluate_every = 20});
  Told told;
  const double before = measured().perplexity, sparsity = trainer.run(told).sparsity;

  esp::merge(model);
  esp::compact(model);
  esp::save(model, to, {.layout = esp::Layout::padded, .overwrite = true});  // AutoModelForCausalLM.from_pretrained(to)
  const double after = measured().perplexity;
  std::printf("perplexity %.2f -> %.2f, %.0f %% of heads and channels are gone\n", before, after, 100 * sparsity);
  return sparsity > 0.2 && after < before ? 0 : 1;
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
