// SPDX-License-Identifier: MIT
// Every setting reaches the library: what it says of itself, in checkpoints, plans and adapters, not what the tool was told.
#include <doctest/doctest.h>

#include <algorithm>

#include "run_tool.hpp"

using namespace tooltest;
using Json = nlohmann::json;

namespace {

std::size_t lines(const std::string& text) { return std::size_t(std::count(text.begin(), text.end(), '\n')); }

/// A run with a checkpoint, and what it left behind.
struct Run {
  Result result;
  Json record, manifest, plan, adapter;
  std::string metrics;

  Run(const Scratch& scratch, const std::string& name, std::vector<std::string> arguments, const std::string& steps) {
    const std::string out = scratch / name;
    result = run(arguments + std::vector<std::string>{"-o", out, "--seq-len", "16", "--batch", "2", "--val-tokens", "256", "--eval-every", "0", "--save-every", "4"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    record = Json::parse(read(out + "/run.json")).at("settings");
    manifest = Json::parse(read(out + "/checkpoint-" + steps + "/MANIFEST.json")).at("settings");
    if (fs::exists(out + "/espalier_plan.json")) plan = Json::parse(read(out + "/espalier_plan.json"));
    if (fs::exists(out + "/adapter_config.json")) adapter = Json::parse(read(out + "/adapter_config.json"));
    metrics = read(out + "/metrics.jsonl");
  }
};

}  // namespace

TEST_CASE("what train is told reaches the optimizer, the batches, the checkpoints and the adapter") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3200), val = token_file(scratch, "v.bin", 600, 48, 2);  // 200 windows
  const std::vector<std::string> base{"train", checkpoint(), "-d", data, "--val", val};
  const Run r(scratch, "a", base + std::vector<std::string>{"--epochs", "0.36", "--accumulate", "3", "--lr-warmup", "5", "--lr-schedule", "linear", "--weight-decay", "0.25",
              "--init", "gaussian", "--rslora", "--alpha", "6", "--keep", "3", "--clip", "0.5", "--lr", "1e-2"}, "12");
  CHECK(lines(r.metrics) == 13);  // 0.36 epochs of 200 windows, 6 a step; and the evaluation before
  CHECK(r.manifest.at("rate").at("warmup") == 5);
  CHECK(r.manifest.at("rate").at("steps") == 12);
  CHECK(r.manifest.at("rate").at("peak") == 1e-2);
  CHECK(r.manifest.at("adamw").at("decay") == 0.25);
  CHECK(r.manifest.at("batches").at("accumulate") == 3);
  CHECK(r.manifest.at("max_norm") == 0.5);
  CHECK(r.adapter.at("use_rslora") == true);
  CHECK(r.adapter.at("lora_alpha") == 6);
  for (const char* step : {"4", "8", "12"}) CHECK(fs::exists(scratch / ("a/checkpoint-" + std::string(step))));  // by default two stay
  for (const Json expected = Json{{"epochs", 0.36}, {"accumulate", 3}, {"lr-warmup", 5.0}, {"weight-decay", 0.25}, {"init", "gaussian"}, {"rslora", true}}; const auto& [name, value] : expected.items()) {
    CAPTURE(name);
    CHECK(r.record.at(name) == value);
  }
  // What leaves no name behind shows in the numbers: another draw of A is another run, and recomputed activations are none.
  const std::vector<std::string> four{"--steps", "4"};
  const Run plain(scratch, "plain", base + four, "4"), gaussian(scratch, "gaussian", base + four + std::vector<std::string>{"--init", "gaussian"}, "4"),
      recomputed(scratch, "recomputed", base + four + std::vector<std::string>{"--recompute"}, "4"),
      coarse(scratch, "coarse", base + four + std::vector<std::string>{"--weights", "bf16"}, "4");
  const auto adapter = [&](const std::string& name) { return read(scratch / (name + "/adapter_model.safetensors")); };
  const auto bytes = [](const Run& one) { return Json::parse(one.metrics.substr(one.metrics.rfind('\n', one.metrics.size() - 2) + 1)).at("bytes").get<long>(); };
  CHECK(adapter("gaussian") != adapter("plain"));
  CHECK(adapter("recomputed") == adapter("plain"));
  CHECK(bytes(recomputed) < bytes(plain));
  CHECK(adapter("coarse") != adapter("plain"));
  CHECK(bytes(coarse) < bytes(plain));
}

TEST_CASE("what prune is told reaches the score, the schedule and the pruner") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3200);
  const std::vector<std::string> base{"prune", checkpoint("llama-mha"), "-d", data, "--steps", "8", "--prune-every", "1", "--warmup", "0.25", "--cooldown", "0.25"};
  const Run r(scratch, "a", base + std::vector<std::string>{"--schedule", "linear", "--power", "abs", "--eta", "0.5", "--scaled", "--min-heads", "3", "--exclude-layers", "0", "--ema", "0.7",
              "--sparsity", "0.2"}, "8");
  const Json& settings = r.plan.at("settings");
  CAPTURE(settings.dump());
  for (const Json expected = Json{{"schedule", "linear"}, {"begin", "2"}, {"end", "6"}, {"sparsity", "0.2"}, {"importance", "taylor"}, {"power", "abs"}, {"eta", "0.5"},
                                        {"scaled", "true"}, {"decay", "0.7"}, {"min_heads", "3"}, {"exclude", "0"}}; const auto& [name, value] : expected.items()) {
    CAPTURE(name);
    CHECK(settings.at(name) == value);
  }
  for (const Json expected = Json{{"schedule", "linear"}, {"power", "abs"}, {"eta", 0.5}, {"scaled", true}, {"min-heads", 3}}; const auto& [name, value] : expected.items()) CHECK(r.record.at(name) == value);
  const Run official(scratch, "official", base + std::vector<std::string>{"--official"}, "8");
  CAPTURE(official.plan.at("settings").dump());
  CHECK(official.plan.at("settings").at("clipped") == "true");
  CHECK(official.plan.at("settings").at("official") == "true");
}
