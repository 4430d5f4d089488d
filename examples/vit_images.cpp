// SPDX-License-Identifier: MIT
// Fine-tunes a vision transformer on images that numpy has saved, and prunes it in the same run.
#include <espalier/backend/cpu.hpp>
#include <espalier/espalier.hpp>
#include <espalier/model/example_options.hpp>
#include <espalier/model/vit_files.hpp>
#include <espalier/train/evaluate_examples.hpp>

#include <cstdio>
#include <string>

namespace esp = espalier;
using Device = esp::Cpu<float>;
using Model = esp::VitForImageClassification<Device, esp::LowRankAdapter>;

int main(int argc, char** argv) try {
  const std::string from = argc > 1 ? argv[1] : "vit-base-patch16-224/";
  const std::string images = argc > 2 ? argv[2] : "train.npy";         // (n, channels, height, width), bytes
  const std::string labels = argc > 3 ? argv[3] : "train.labels.npy";  // (n), whole numbers
  const std::string to = argc > 4 ? argv[4] : "pruned-vit";

  Device device;
  auto model = esp::load<Model>(device, from, {.rank = 8, .targets = {"query", "value", "dense"}}, /*seed=*/1,
                                {.count = 3, .new_head = true});  // its own has 1000 classes
  const esp::ImageExamples examples(esp::read_images(images, labels, esp::image_options(model)));

  esp::AdamW optimizer(model);
  esp::Pruner pruner(model, esp::TaylorImportance{}, esp::EMAMask{}, esp::CubicSchedule{.begin = 10, .end = 50, .sparsity = 0.3});
  esp::Trainer trainer(model, optimizer, pruner, examples.batches({.size = 6, .steps = 80}), {.rate = {.peak = 1e-2, .warmup = 5}});
  const auto before = esp::evaluate(model, examples);
  const double sparsity = trainer.run().sparsity;
  const auto after = esp::evaluate(model, examples);
  esp::merge(model);
  esp::compact(model);
  esp::save(model, to, {.overwrite = true});  // AutoModelForImageClassification.from_pretrained(to) loads it

  for (std::size_t i = 0; i < after.metrics.size(); ++i)
    std::printf("%-10s %.3f -> %.3f\n", after.metrics[i].name.c_str(), before.metrics[i].value, after.metrics[i].value);
  std::printf("loss       %.3f -> %.3f, %.0f %% of heads and channels are gone\n", before.loss, after.loss, 100 * sparsity);
  return sparsity > 0.2 && after.loss < before.loss ? 0 : 1;
} catch (const esp::Error& e) {
  std::fprintf(stderr, "error: %s\n", e.what());
  return 1;
}
