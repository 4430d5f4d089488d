// SPDX-License-Identifier: MIT
// The tool with adapters behind the weights: --tuning sequential.
#include <doctest/doctest.h>

#include <cmath>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> small_run{"--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--tuning", "sequential"};

double perplexity(const std::string& model, const std::string& data) {
  const Result r = run({"eval", model, "-d", data, "--seq-len", "16", "--runs", "1", "--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  return r.json().at("perplexity").get<double>();
}

}  // namespace

TEST_CASE("Adapters behind the weights are trained and written as a whole model, resumed to the same bits") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const auto arguments = [&](const std::string& out) {
    return std::vector<std::string>{"train", checkpoint(), "-d", data, "--val", val, "-o", out, "--steps", "60", "--save-every", "20", "--dropout", "0.1"} + small_run;
  };
  const Result r = run(arguments(scratch / "whole") + std::vector<std::string>{"--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const double after = r.json().at("after").at("perplexity");
  CHECK(after < 0.9 * r.json().at("before").at("perplexity").get<double>());
  CHECK(r.says("a whole model"));
  CHECK(perplexity(scratch / "whole", val) == doctest::Approx(after).epsilon(1e-6));
  CHECK_FALSE(fs::exists(scratch / "whole/adapter_model.safetensors"));
  // It is no other kind under this name.
  const Result beside = run(std::vector<std::string>{"train", checkpoint(), "-d", data, "--val", val, "-o", scratch / "beside", "--steps", "60", "--dropout", "0.1",
                                                     "--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--json"});
  REQUIRE(beside.code == 0);
  CHECK(std::abs(beside.json().at("after").at("perplexity").get<double>() - after) > 1e-4 * after);

  REQUIRE(run(arguments(scratch / "cut"), {{}, {}, "step 30/", SIGINT}).code == 130);
  const Result resumed = run({"train", "--resume", scratch / "cut"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(read(scratch / "cut/model.safetensors") == read(scratch / "whole/model.safetensors"));
}

TEST_CASE("They guide pruning, live or masked to the same units, and the file computes what was measured") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  std::vector<nlohmann::json> plans;
  for (const char* compact : {"live", "end"}) {
    const std::string out = scratch / compact;
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "--val", val, "-o", out, "--steps", "40", "--prune-every", "5",
                                                  "--runs", "1", "--compact", compact, "--json"} + small_run);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    CHECK(r.json().at("pruning").at("reached") == 0.5);
    CHECK(perplexity(out, val) == doctest::Approx(r.json().at("pruned").at("perplexity").get<double>()).epsilon(1e-6));
    plans.emplace_back();
    for (const auto& g : nlohmann::json::parse(read(out + "/espalier_plan.json")).at("groups")) plans.back().push_back(g.at("kept"));
  }
  CHECK(plans[0] == plans[1]);
  CHECK(perplexity(scratch / "live", val) == doctest::Approx(perplexity(scratch / "end", val)).epsilon(1e-4));
}

TEST_CASE("Where an adapter behind the weight does not work it is refused with its reason") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 600);
  const auto refused = [&](std::vector<std::string> options, int code, const char* why, const char* model = "llama-gqa") {
    const Result r = run(std::vector<std::string>{options.front(), checkpoint(model), "-d", data, "-o", scratch / "out", "--tuning", "sequential", "--seq-len", "16"} +
                         std::vector<std::string>(options.begin() + 1, options.end()));
    CAPTURE(r.err);
    CAPTURE(why);
    CHECK(r.code == code);
    CHECK(r.says(why));
    CHECK_FALSE(fs::exists(scratch / "out"));
  };
  refused({"train", "-a", checkpoint() + "/adapter"}, 2, "PEFT knows no other");
  refused({"prune", "--granularity", "2:4"}, 2, "a mask on single weights works on one matrix");
  refused({"prune", "--criterion", "obs", "--update-weights"}, 2, "--update-weights moves W0");
  refused({"train", "--weights", "bf16"}, 3, "--tuning sequential holds weights in fp32");
  refused({"train"}, 3, "--tuning sequential: encoders learn by adapters", "bert-classes");
}
