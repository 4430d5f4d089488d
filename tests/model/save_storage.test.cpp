// SPDX-License-Identifier: MIT
// Files and the type that a device stores weights in: fp32 and bf16.
#include <doctest/doctest.h>

#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>
#include <espalier/nn/merge.hpp>

#include "compiled_files.hpp"
#include "golden.hpp"
#include "temporary_directory.hpp"

namespace esp = espalier;
using esp::test::Golden, esp::test::relative_gap, esp::test::slurp, esp::test::TemporaryDirectory;
using Single = esp::Llama<esp::Cpu<float>, esp::LowRankAdapter>;
using Stored = esp::Llama<esp::Cpu<float, esp::BFloat16>, esp::LowRankAdapter>;

namespace {

template <class M>
std::vector<double> reload(const std::string& directory, const Golden& golden) {
  typename M::DeviceType device;
  auto model = esp::load<M>(device, directory, {.rank = 1});
  const auto l = model.logits(golden.tokens, golden.shape);
  return {l.begin(), l.end()};
}

}  // namespace

TEST_CASE("weights that were stored in bf16 stay bf16 on a device that stores bf16") {
  const Golden golden("llama-bf16");
  CHECK(relative_gap(reload<Stored>(golden.directory, golden), golden.numbers("logits")) < 1e-5);
  const Golden wide("llama-gqa");  // fp32 in the file: rounded once
  const double gap = relative_gap(reload<Stored>(wide.directory, wide), wide.numbers("logits"));
  CHECK(gap < 2e-2);
  CHECK(gap > 1e-5);
}

TEST_CASE("a checkpoint that is read and written is transformers' file, byte for byte") {
  for (const std::string& name : esp::test::golden_llamas()) {
    if (name == "llama-sharded") continue;
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory folder;
    esp::Cpu<float> device;
    auto model = esp::load<Single>(device, golden.directory, {.rank = 2});
    const auto report = esp::save(model, folder / "out");
    CHECK(slurp(folder / "out/model.safetensors") == slurp(golden.directory + "/model.safetensors"));
    CHECK(slurp(folder / "out/generation_config.json") == slurp(golden.directory + "/generation_config.json"));
    CHECK(report.layout == esp::Layout::uniform);
    CHECK_FALSE(report.pruned);
    CHECK_FALSE(esp::io::exists(folder / "out/espalier_plan.json"));
    CHECK(report.parameters == esp::count_parameters(model));
  }
}

TEST_CASE("a merge on the way to the file is the merge in memory, in fp32 and in bf16") {
  const Golden golden("llama-bf16");
  const TemporaryDirectory folder;
  const auto both = [&]<class D>(D device, const char* tag) {
    CAPTURE(tag);
    using M = esp::Llama<D, esp::LowRankAdapter>;
    auto model = esp::load<M>(device, golden.directory, {.rank = 2});
    esp::load_adapter(model, golden.directory + "/adapter");
    const esp::Dtype dtype = esp::dtype_of<typename D::Weight>;
    esp::save(model, folder / (std::string("flying-") + tag), {.dtype = dtype});
    esp::merge(model);
    const auto merged = model.logits(golden.tokens, golden.shape);
    esp::save(model, folder / (std::string("merged-") + tag), {.dtype = dtype});
    const auto back = reload<M>(folder / (std::string("merged-") + tag), golden);
    CHECK(relative_gap(back, std::vector<double>(merged.begin(), merged.end())) == 0);  // the rounded model and its file agree exactly
    CHECK(relative_gap(reload<M>(folder / (std::string("flying-") + tag), golden), back) < 1e-6);
    CHECK(relative_gap(back, golden.numbers("logits_adapter")) < (dtype == esp::Dtype::f32 ? 1e-5 : 2e-2));
  };
  both(esp::Cpu<float>(), "f32");
  both(esp::Cpu<float, esp::BFloat16>(), "bf16");
}
