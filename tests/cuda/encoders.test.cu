// SPDX-License-Identifier: MIT
// Encoders from their files on the device: what transformers and peft compute, and a step of training.
#include <espalier/adapter/low_rank.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/vit_files.hpp>
#include <espalier/train/adamw.hpp>
#include <espalier/train/clip.hpp>
#include <span>

#include "../support/golden.hpp"
#include "device.hpp"

using namespace espalier;
using namespace espalier::test;

TEST_CASE("BERT's files are read onto the device: loss and gradients are those of transformers and peft, and it learns") {
  const TextGolden golden("bert-classes");
  Cuda<float> device;
  auto model = load<BertForSequenceClassification<Cuda<float>, LowRankAdapter>>(device, golden.directory, {.rank = 1});
  CHECK(relative_gap(model.logits(golden.batch()), golden.numbers("logits")) < 1e-4);
  load_adapter(model, golden.directory + "/adapter");
  AdamW optimizer(model, {.rate = 1e-2});
  std::vector<double> losses;
  for (int step = 0; step < 4; ++step) {
    losses.push_back(double(model.loss(golden.batch())));
    if (step == 0) {
      std::size_t compared = 0;
      CHECK(losses[0] == doctest::Approx(golden.numbers("loss_adapter")[0]).epsilon(1e-4));
      for_each_parameter(model, [&](const std::string& path, auto& p) {
        CAPTURE(path);
        const auto want = golden.numbers("grad.base_model.model." + path);
        CHECK(relative_gap(seen(device, p.grad.data, p.size()), want) < 1e-3);  // none of them is zero
        ++compared;
      });
      CHECK(compared == SafetensorsFile(golden.directory + "/adapter/adapter_model.safetensors").tensors().size());
    }
    clip(model, 1);
    optimizer.step();
  }
  CHECK(losses[3] < losses[0]);
  CHECK(device.system().replays() > 0);
}

namespace {

/// The weights of a model are those of its file.
template <class Model>
void expect_read(const char* name) {
  CAPTURE(name);
  const std::string directory = golden_directory(name);
  Cuda<float> device;
  auto model = load<Model>(device, directory, {.rank = 1});
  const SafetensorsFile file(directory + "/model.safetensors");
  Index compared = 0;
  for_each_tensor(model, [&](const std::string& path, auto& tensor) {
    if (!file.contains(path)) return;
    CAPTURE(path);
    const auto numbers = seen(device, tensor.view().data, tensor.size());
    std::vector<float> there(numbers.size());
    file.read_numbers(path, std::span(there));
    CHECK(numbers == there);
    ++compared;
  });
  CHECK(compared > 20);
}

}  // namespace

TEST_CASE("so are those of DeBERTa and of ViT") {
  expect_read<DebertaForSequenceClassification<Cuda<float>, LowRankAdapter>>("deberta-classes");
  expect_read<VitForImageClassification<Cuda<float>, LowRankAdapter>>("vit");
}
