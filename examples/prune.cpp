// SPDX-License-Identifier: MIT
// Fine-tunes a Hugging Face model with low-rank adapters and prunes half of it away in the same run.
#include <espalier/espalier.hpp>
#include <espalier/backend/cpu.hpp>

#include <cstdio>
#include <string>

namespace esp = espalier;
using Device = esp::Cpu<float>;
using Model = esp::Llama<Device, esp::LowRankAdapter>;

int main(int argc, char** argv) try {
  const std::string from = argc > 1 ? argv[1] : "models/demo";                  // any Llama, Mistral, Qwen2 or Qwen3
  const std::string data = argc > 2 ? argv[2] : "models/demo/text/second.txt";  // or token ids: .bin, .jsonl
  const std::string to = argc > 3 ? argv[3] : "pruned";

  Device device;
  auto model = esp::load<Model>(device, from, {.rank = 8, .alpha = 16});

  esp::AdamW optimizer(model, {.rate = 1e-3});
  esp::Pruner pruner(model, esp::TaylorImportance{}, esp::EMAMask{.decay = 0.9},
                     esp::CubicSchedule{.begin = 15, .end = 135, .sparsity = 0.5});

  int step = 0;
  for (esp::Batch batch : esp::TokenFile(data).batches({.size = 8, .length = 64, .steps = 150})) {
    const auto loss = model.loss(batch);    // forward and backward; a number when somebody looks
    const double sparsity = pruner.step();  // reads the adapters' gradients,
    optimizer.step();                       // and only then are they spent
    if (++step % 15 == 0) std::printf("step %3d   loss %.3f   sparsity %.2f\n", step, double(loss), sparsity);
  }

  esp::merge(model);                          // W0 + s B A
  esp::compact(model);                        // masked units leave for good
  esp::save(model, to, {.overwrite = true});  // AutoModelForCausalLM.from_pretrained(to) loads it
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
