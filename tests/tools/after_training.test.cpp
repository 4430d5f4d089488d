// SPDX-License-Identifier: MIT
// Nothing that happens after the last step loses the training.
#include <doctest/doctest.h>

#include <algorithm>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> tiny{"--steps", "30", "--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--eval-every", "0"};
/// What is measured takes long enough to be interrupted in, or does not.
const std::vector<std::string> at_length{"--val-tokens", "0"}, in_short{"--val-tokens", "512"};

std::string status(const std::string& directory) { return nlohmann::json::parse(read(directory + "/run.json")).at("status"); }

/// Files of the result, which say nothing of when and where.
void check_same_result(const std::string& one, const std::string& other) {
  for (const char* name : {"model.safetensors", "adapter_model.safetensors", "config.json", "adapter_config.json", "espalier_plan.json"}) {
    CAPTURE(name);
    CHECK(fs::exists(one + "/" + name) == fs::exists(other + "/" + name));
    CHECK(read(one + "/" + name) == read(other + "/" + name));
  }
  CHECK(status(one) == "done");
  CHECK_FALSE(fs::exists(one + "/LATEST"));
  CHECK_FALSE(fs::exists(one + "/checkpoint-30"));
}

}  // namespace

TEST_CASE("a run that is interrupted after its last step, wherever, keeps the training and goes on to the same bits") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 4000), val = token_file(scratch, "v.bin", 30000, 48, 2);
  for (const std::string verb : {"train", "prune", "full"}) {
    CAPTURE(verb);
    const auto arguments = [&](const std::string& out) {
      std::vector<std::string> a{verb == "full" ? "train" : verb, checkpoint(), "-d", data, "--val", val, "-o", out};
      if (verb == "full") a = a + std::vector<std::string>{"--tuning", "full"};
      return a + tiny;
    };
    const std::string whole = scratch / (verb + "-whole");
    REQUIRE(run(arguments(whole) + in_short).code == 0);
    check_same_result(whole, whole);
    for (const std::string said : {"writing", "measuring what was written", "step 30/30"}) {
      CAPTURE(said);
      const std::string cut = scratch / (verb + "-" + said.substr(0, 4));
      const Result stopped = run(arguments(cut) + at_length, {{}, {}, said});
      CAPTURE(stopped.err);
      REQUIRE(stopped.code == 130);
      CHECK(stopped.out.empty());
      CHECK(stopped.says("interrupted after step 30; checkpoint " + cut + "/checkpoint-30"));
      CHECK(stopped.says("go on with: espalier " + arguments("")[0] + " --resume " + cut));
      CHECK(status(cut) == "interrupted");
      CHECK(fs::exists(cut + "/checkpoint-30/MANIFEST.json"));
      const Result resumed = run(std::vector<std::string>{arguments("")[0], "--resume", cut} + in_short);
      CAPTURE(resumed.err);
      REQUIRE(resumed.code == 0);
      CHECK_FALSE(resumed.says("loss"));  // no step was taken again
      check_same_result(cut, whole);
      if (verb != "prune") break;
    }
  }
}

TEST_CASE("5: a full disk after the last step keeps the training, and the run goes on to the same bits where there is room") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 4000), cut = scratch / "cut", whole = scratch / "whole";
  const auto arguments = [&](const std::string& out) {  // whose checkpoint is smaller than the model
    return std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", out, "--rank", "1", "--targets", "q_proj", "--criterion", "magnitude"} + tiny + in_short;
  };
  REQUIRE(run(arguments(whole)).code == 0);
  How small;
  small.file_bytes = 20000;
  const Result full = run(arguments(cut), small);
  CAPTURE(full.err);
  REQUIRE(full.code == 5);
  CHECK(full.says("File too large"));
  CHECK(full.says("hint: the training is kept; go on with: espalier prune --resume " + cut));
  CHECK(status(cut) == "failed");
  CHECK_FALSE(fs::exists(cut + "/config.json"));
  CHECK_FALSE(fs::exists(cut + "/.result"));
  CHECK(run({"prune", "--resume", cut}, small).code == 5);  // and once more
  const Result resumed = run({"prune", "--resume", cut});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  check_same_result(cut, whole);
}

TEST_CASE("where there is no room for the last checkpoint, the result is written without it, and that is said") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 4000);
  How small;
  small.file_bytes = 30000;
  const Result r = run(std::vector<std::string>{"train", checkpoint(), "-d", data, "-o", scratch / "out", "--rank", "8"} + tiny + in_short, small);
  CAPTURE(r.err);
  CHECK(r.code == 0);
  CHECK(r.says("the last checkpoint could not be written"));
  CHECK(status(scratch / "out") == "done");
  CHECK(fs::exists(scratch / "out/adapter_model.safetensors"));
}

TEST_CASE("5: memory that is not there ends the run plainly") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 4000);
  How small;
  small.memory_bytes = rlim_t(1) << 28;
  const Result r = run({"train", checkpoint(), "-d", data, "-o", scratch / "out", "--batch", "20000", "--seq-len", "16", "--steps", "2"}, small);
  CAPTURE(r.err);
  CHECK(r.code == 5);
  CHECK(r.says("memory"));
  CHECK(status(scratch / "out") == "failed");
}

TEST_CASE("a demo that is interrupted says that it starts again") {
  REQUIRE(fs::exists(std::string(ESPALIER_DEMO_DIR) + "/model.safetensors"));
  const Scratch scratch;
  const Result r = run({"demo", "-o", scratch / "demo", "--steps", "2", "--prune-every", "1", "--eval-every", "0", "--val-tokens", "512", "--batch", "2", "--seq-len", "64", "--runs", "3", "--json"}, {{}, {}, "step 2/2"});
  CAPTURE(r.err);
  CHECK(r.code == 130);
  CHECK(r.says("a demo cannot be resumed; start again with: espalier demo -o " + (scratch / "demo")));
  CHECK(r.json().at("status") == "interrupted");
  CHECK_FALSE(r.json().contains("resume"));
  CHECK(status(scratch / "demo") == "interrupted");
  CHECK_FALSE(fs::exists(scratch / "demo/LATEST"));
}
