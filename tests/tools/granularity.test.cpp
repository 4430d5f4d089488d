// SPDX-License-Identifier: MIT
// The tool on query heads, layers and channels of the residual stream: --granularity.
#include <doctest/doctest.h>

#include <cmath>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> small_run{"--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--steps", "12", "--prune-every", "3", "--runs", "1"};

}  // namespace

TEST_CASE("prune by each granularity: what leaves is what the plan says, the file is a stock one, and a target is met") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000);
  const double dense = run({"plan", checkpoint(), "--json"}).json().at("parameters");
  for (const std::string name : {"queries", "queries-free", "layers", "hidden"}) {
    CAPTURE(name);
    const std::string out = scratch / name;
    // Query heads are few here: channels make up for what they miss. A layer is a big step.
    const std::vector<std::string> asked =
        name == "layers" ? std::vector<std::string>{"--granularity", name, "--sparsity", "0.5"}
                         : std::vector<std::string>{"--granularity", name, "--target-parameters", std::to_string(std::int64_t(0.8 * dense))};
    const Result planned = run(std::vector<std::string>{"plan", checkpoint(), "--json"} + asked);
    CAPTURE(planned.err);
    REQUIRE(planned.code == 0);
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", out, "--json"} + asked + small_run);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto pruning = r.json().at("pruning");
    CHECK(pruning.at("granularity") == name);
    CHECK(pruning.at("reached").get<double>() > 0.1);
    const double parameters = r.json().at("pruned").at("parameters");
    for (const auto& o : planned.json().at("outcomes"))
      if (name != "layers" || o.at("asked") == 0.5) {
        CHECK(o.at("budget").at("left") == pruning.at("budget").at("left"));
        if (name != "queries-free") CHECK(o.at("parameters") == parameters);
      }
    if (name != "layers")
      CHECK(std::abs(pruning.at("budget").at("left").get<double>() - std::floor(0.8 * dense)) <= pruning.at("budget").at("step").get<double>());
    const auto config = nlohmann::json::parse(read(out + "/config.json"));
    CHECK(config.at("model_type").get<std::string>().find("espalier") == std::string::npos);
    CHECK(config.at("num_key_value_heads") == 2);
    if (name == "layers") CHECK(config.at("num_hidden_layers") == 1);
    if (name == "hidden") CHECK(config.at("hidden_size").get<int>() < 24);
    const auto plan = nlohmann::json::parse(read(out + "/espalier_plan.json"));
    CHECK(plan.at("settings").at("granularity") == (name == "queries-free" ? "queries" : name));
    const Result e = run({"eval", out, "-d", data, "--seq-len", "16", "--runs", "1", "--json"});
    CAPTURE(e.err);
    CHECK(e.code == 0);
    CHECK(read(out + "/report.html").find("were removed in the same run") != std::string::npos);
  }
}

TEST_CASE("heads alone and channels alone: the others stay, and shares are of those that may leave") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000);
  const auto dense = nlohmann::json::parse(read(checkpoint() + "/config.json"));
  for (const std::string name : {"heads", "channels"}) {
    CAPTURE(name);
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", scratch / name, "--json", "--granularity", name} + small_run);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    CHECK(r.json().at("pruning").at("reached") == 0.5);
    const auto config = nlohmann::json::parse(read(scratch / name + "/config.json"));
    CHECK(config.at("num_key_value_heads").get<int>() == dense.at("num_key_value_heads").get<int>() / (name == "heads" ? 2 : 1));
    CHECK(config.at("intermediate_size").get<int>() == dense.at("intermediate_size").get<int>() / (name == "heads" ? 1 : 2));
  }
}

TEST_CASE("bytes of layers and of hidden channels are those of their files, each tensor in its own number format") {
  const auto dense = run({"plan", checkpoint(), "--json"}).json();
  for (const std::string name : {"layers", "hidden", "queries"})
    for (const char* dtype : {"fp32", "bf16"}) {
      CAPTURE(name);
      const double bytes = dense.at("file_bytes").get<double>() * (std::string(dtype) == "bf16" ? 0.5 : 1) * 0.7;
      const Result r = run({"plan", checkpoint(), "--json", "--granularity", name, "--dtype", dtype, "--target-bytes", std::to_string(std::int64_t(bytes))});
      CAPTURE(r.err);
      REQUIRE(r.code == 0);
      const auto o = r.json().at("outcomes").at(0);
      CHECK(o.at("budget").at("left") == o.at("file_bytes"));
      CHECK(std::abs(o.at("file_bytes").get<double>() - std::floor(bytes)) <= o.at("budget").at("step").get<double>());
    }
}

TEST_CASE("what says nothing to a granularity, or cannot be, is refused with its reason") {
  const auto refused = [&](std::vector<std::string> options, const char* why, const char* model = "llama-gqa") {
    const Scratch scratch;
    const Result r = run(std::vector<std::string>{"prune", checkpoint(model), "-d", token_file(scratch, "d.bin", 600), "-o", scratch / "none",
                                                  "--seq-len", "16"} + options);
    CAPTURE(r.err);
    CAPTURE(why);
    CHECK(r.code == 2);
    CHECK(r.says(why));
    CHECK(scratch.list().size() == 1);
  };
  refused({"--granularity", "layers", "--ranking", "global"}, "there is one set of them");
  refused({"--granularity", "layers", "--official"}, "--official prunes heads and channels, not layers");
  refused({"--granularity", "layers", "--criterion", "wanda", "--compact", "live"}, "remembers the inputs of every layer");
  refused({"--granularity", "layers", "--criterion", "obs", "--update-weights"}, "make up for a whole layer");
  refused({"--granularity", "hidden", "--exclude-layers", "0"}, "--exclude-layers can spare none");
  refused({"--granularity", "hidden", "--criterion", "sparsegpt"}, "not channels of the residual stream");
  refused({"--granularity", "queries", "--within", "row"}, "query heads and channels are compared by --ranking");
  refused({"--granularity", "queries-free", "--target-bytes", "20000"}, "let them stay even");
  refused({"--granularity", "queries"}, "a key-value head of its own", "llama-mha");
  refused({"--granularity", "hidden", "--targets", "c_attn"}, "LayerNorm takes away the mean", "gpt2");
  refused({"--granularity", "Layers"}, "leave for good");
}
