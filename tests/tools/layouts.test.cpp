// SPDX-License-Identifier: MIT
// What cannot be written is refused before anything is trained; in which layout a run is written may be said anew.
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> tiny{"--steps", "6", "--seq-len", "16", "--batch", "2", "--criterion", "magnitude", "--runs", "1", "--val-tokens", "64"};

/// A Llama with biases in six key-value heads: five of them are ten heads, which do not divide 24 channels.
std::string with_biases(const Scratch& scratch) {
  const std::string directory = scratch / "biases";
  fs::copy(checkpoint("llama-bias"), directory, fs::copy_options::recursive);
  auto config = nlohmann::json::parse(read(directory + "/config.json"));
  config["num_attention_heads"] = 12, config["num_key_value_heads"] = 6, config["head_dim"] = 2;
  write(directory + "/config.json", config.dump());
  return directory;
}

}  // namespace

TEST_CASE("heads that a layout cannot say are refused before a step is taken, with the layout that can") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 1200), biases = with_biases(scratch), bert = scratch / "bert",
                    pairs = std::string(ESPALIER_TEST_DATA) + "/examples/pairs.jsonl", tokenizer = std::string(ESPALIER_TEST_DATA) + "/examples/tokenizer.json";
  fs::copy(checkpoint("bert-classes"), bert, fs::copy_options::recursive);
  fs::copy(tokenizer, bert + "/tokenizer.json");
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why, const std::string& what_to_do) {
    const Result r = run(arguments);
    CAPTURE(arguments[1]);
    CAPTURE(r.err);
    CHECK(r.code == 2);
    CHECK(r.says(why));
    CHECK(r.says(what_to_do));
    CHECK_FALSE(r.says("step 1"));
    CHECK_FALSE(fs::exists(scratch / "out"));
  };
  const std::vector<std::string> uniform{"--layout", "uniform", "--sparsity", "0.5"}, out{"-o", scratch / "out"};
  const std::string heads = "heads are left, and a ", zeros = "layout padded writes the same function";
  refused(std::vector<std::string>{"prune", checkpoint("gpt2"), "-d", data} + out + uniform + tiny, heads + "gpt2 says", zeros);
  refused(std::vector<std::string>{"prune", checkpoint("gpt2"), "-d", data, "--dry-run"} + out + uniform + tiny, heads + "gpt2 says", zeros);
  refused(std::vector<std::string>{"prune", bert, "-d", pairs} + out + uniform + tiny, heads + "bert says", zeros);
  refused(std::vector<std::string>{"plan", checkpoint("vit")} + uniform, heads + "vit says", zeros);
  refused(std::vector<std::string>{"prune", biases, "-d", data, "--layout", "uniform", "--sparsity", "0.2"} + out + tiny, "10 heads do not divide hidden_size 24", zeros);
  refused(std::vector<std::string>{"prune", checkpoint(), "-d", data, "--layout", "compact", "--granularity", "queries-free"} + out + tiny,
          "which --layout compact cannot say", "--layout padded");

  // Where heads stay there is nothing to say, and nobody has to say how a Llama with biases is filled up.
  const Result stay = run(std::vector<std::string>{"prune", checkpoint("gpt2"), "-d", data, "-o", scratch / "stay", "--min-heads", "4", "--json"} + uniform + tiny);
  CAPTURE(stay.err);
  REQUIRE(stay.code == 0);
  CHECK(stay.json().at("layout") == "uniform");
  const Result filled = run(std::vector<std::string>{"prune", biases, "-d", data, "-o", scratch / "filled", "--sparsity", "0.2", "--json"} + tiny);
  CAPTURE(filled.err);
  REQUIRE(filled.code == 0);
  CHECK(filled.json().at("layout") == "padded");
  CHECK(nlohmann::json::parse(read(scratch / "filled/config.json")).at("num_attention_heads") == 12);
  CHECK(run({"eval", scratch / "filled", "-d", data, "--seq-len", "16", "--runs", "1"}).code == 0);
}

TEST_CASE("a run whose layers were kept alike goes on to another layout, to the bits that it would have had") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 1200), cut = scratch / "cut", whole = scratch / "whole";
  const auto arguments = [&](const std::string& to) {
    return std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", to, "--rank", "1", "--targets", "q_proj"} + tiny;
  };
  REQUIRE(run(arguments(whole) + std::vector<std::string>{"--uniform", "--layout", "padded"}).code == 0);
  How small;  // a disk that holds a checkpoint and no model
  small.file_bytes = 20000;
  REQUIRE(run(arguments(cut) + std::vector<std::string>{"--layout", "uniform"}, small).code == 5);
  CHECK(run({"prune", "--resume", cut, "--layout", "padded"}, small).code == 5);  // which is remembered
  const Result on = run({"prune", "--resume", cut, "--json"});
  CAPTURE(on.err);
  REQUIRE(on.code == 0);
  CHECK(on.json().at("layout") == "padded");
  CHECK(read(cut + "/model.safetensors") == read(whole + "/model.safetensors"));
  CHECK(read(cut + "/espalier_plan.json") == read(whole + "/espalier_plan.json"));
}
