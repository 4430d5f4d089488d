// SPDX-License-Identifier: MIT
// The tool on single weights: --granularity.
#include <doctest/doctest.h>

#include <algorithm>
#include <espalier/io/safetensors.hpp>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> small_run{"--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--steps", "12", "--prune-every", "3"};

struct Zeros {
  std::int64_t weights = 0, zeros = 0;
  bool two_of_four = true;
};
/// Of the projections of the blocks.
Zeros count_zeros(const std::string& directory) {
  Zeros z;
  const espalier::SafetensorsFile file(directory + "/model.safetensors");
  for (const auto& t : file.tensors()) {
    if (t.name.find("_proj.weight") == std::string::npos && t.name.find(".attn.c_attn.weight") == std::string::npos &&
        t.name.find("mlp.c_fc.weight") == std::string::npos)
      continue;
    REQUIRE(t.dtype == espalier::Dtype::f32);
    std::vector<float> x(std::size_t(t.bytes / 4));
    file.read(t, std::as_writable_bytes(std::span(x)));
    z.weights += std::int64_t(x.size()), z.zeros += std::count(x.begin(), x.end(), 0.0f);
    for (std::size_t i = 0; i + 4 <= x.size(); i += 4)
      z.two_of_four = z.two_of_four && std::count(x.begin() + std::ptrdiff_t(i), x.begin() + std::ptrdiff_t(i) + 4, 0.0f) == 2;
  }
  return z;
}

}  // namespace

TEST_CASE("prune to 2:4: every four weights of the file hold two zeros, and what was measured is the file") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000);
  const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", scratch / "sparse", "--granularity",
                                                "2:4", "--criterion", "wanda", "--dtype", "fp32", "--json"} +
                       small_run);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const Zeros z = count_zeros(scratch / "sparse");
  CHECK(z.two_of_four);
  CHECK(2 * z.zeros == z.weights);
  CHECK(r.json().at("pruning").at("removed") == z.zeros);
  CHECK(r.json().at("pruning").at("reached") == 0.5);
  CHECK(r.json().at("pruning").at("granularity") == "2:4");
  const auto plan = nlohmann::json::parse(read(scratch / "sparse/espalier_plan.json"));
  CHECK(plan.at("settings").at("pattern") == "2:4");
  std::int64_t told = 0;
  for (const auto& w : plan.at("weights")) told += w.at("removed").get<std::int64_t>();
  CHECK(told == z.zeros);
  const Result e = run({"eval", scratch / "sparse", "-d", data, "--seq-len", "16", "--runs", "1", "--json"});
  CAPTURE(e.err);
  CHECK(e.code == 0);

  const auto counted = run({"plan", checkpoint(), "--granularity", "2:4", "--json"}).json();
  CHECK(counted.at("weights") == z.weights);
  CHECK(counted.at("outcomes").at(0).at("zeros") == z.zeros);
}

TEST_CASE("what is asked for is reached within half of the printed step, counted in the file, and the plan has said so") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 2000), model = checkpoint("gpt2-odd");  // 24 wide, 35 channels
  struct Case {
    const char *pattern, *criterion, *within;
    bool exact;  // known before there are scores
  };
  for (const Case& c : {Case{"unstructured", "sparsegpt", "projection", true}, Case{"unstructured", "lora", "projection", true},
                        Case{"unstructured", "wanda", "row", true}, Case{"unstructured", "lora", "model", true},
                        Case{"2:4", "wanda", "", true}, Case{"rows", "magnitude", "projection", true},
                        Case{"rows", "lora", "model", false}, Case{"columns", "magnitude", "projection", true},
                        Case{"columns", "wanda", "model", false}, Case{"4x4", "magnitude", "projection", false},
                        Case{"4x4", "magnitude", "model", false}}) {
    const std::string name = std::string(c.pattern) + " " + c.criterion + " " + c.within, out = scratch / name;
    CAPTURE(name);
    std::vector<std::string> options{"--granularity", c.pattern};
    if (*c.within) options = options + std::vector<std::string>{"--within", c.within, "--sparsity", "0.43"};
    const Result r = run(std::vector<std::string>{"prune", model, "-d", data, "-o", out, "--criterion", c.criterion, "--dtype", "fp32",
                                                  "--seq-len", "16", "--batch", "2", "--steps", "3", "--prune-every", "1", "--runs", "1",
                                                  "--json"} + options);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto pruning = r.json().at("pruning");
    const double asked = *c.within ? 0.43 : 0.5, step = pruning.at("smallest_step");
    const Zeros z = count_zeros(out);
    CHECK(pruning.at("asked") == asked);
    CHECK(pruning.at("removed") == z.zeros);
    CHECK(pruning.at("reached") == double(z.zeros) / double(z.weights));
    CHECK(std::abs(double(z.zeros) / double(z.weights) - asked) <= step / 2 + 1e-9);
    CHECK(step < 0.06);

    const auto plan = run(std::vector<std::string>{"plan", model, "--json"} + options).json();
    CHECK(plan.at("weights") == z.weights);
    for (const auto& o : plan.at("outcomes")) {
      if (o.at("asked") != asked) continue;
      CHECK(o.at("smallest_step") == step);
      CHECK(o.at("exact") == c.exact);
      if (c.exact) CHECK(o.at("zeros") == z.zeros);
      else CHECK(std::abs(double(o.at("zeros")) / double(z.weights) - asked) <= step / 2 + 1e-9);
    }
  }
}

TEST_CASE("where scores were not finite the result is written, and the run says what was reached and fails") {
  const Scratch scratch;
  const Result r = run({"prune", checkpoint(), "-d", token_file(scratch, "d.bin", 2000), "-o", scratch / "out", "--granularity", "unstructured",
                        "--criterion", "sparsegpt", "--damp", "0", "--seq-len", "8", "--batch", "1", "--steps", "1", "--runs", "1"});
  CAPTURE(r.err);
  CHECK(r.code == 1);
  CHECK(r.says("50.00 % of the weights were to become zero and"));
  CHECK(r.says("raise damp"));
  CHECK(fs::exists(scratch / "out/model.safetensors"));
  CHECK(read(scratch / "out/report.html").find("the smallest step of unstructured is") != std::string::npos);
}

TEST_CASE("what cannot be combined is refused, and says why") {
  const auto refused = [&](std::vector<std::string> options, const char* why) {
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", "none.bin", "-o", "none"} + options);
    CAPTURE(r.err);
    CAPTURE(why);
    CHECK(r.code == 2);
    CHECK(r.says(why));
  };
  refused({"--granularity", "2;4"}, "is no pattern of weights");
  refused({"--granularity", "4:2"}, "1 <= n < m");
  refused({"--granularity", "2:4", "--sparsity", "0.6"}, "2:4 removes 0.5 of the weights, and --sparsity says 0.6");
  refused({"--granularity", "2:4", "--within", "model"}, "within their m");
  refused({"--granularity", "2:4", "--dropout", "0.1"}, "--dropout has none of");
  refused({"--granularity", "2:4", "--criterion", "signed"}, "says nothing of single weights");
  refused({"--granularity", "2:4", "--criterion", "full", "--accumulate", "2"}, "while backward runs");
  refused({"--granularity", "unstructured", "--criterion", "full", "--within", "model"}, "cannot compare them over the model");
  refused({"--granularity", "rows", "--criterion", "sparsegpt"}, "chooses weight by weight");
  refused({"--granularity", "rows", "--within", "row"}, "blocks reach over rows");
  refused({"--granularity", "unstructured", "--ema", "0.5"}, "--ema says nothing to single weights");
  refused({"--granularity", "unstructured", "--ranking", "global"}, "--ranking says nothing to single weights");
  refused({"--granularity", "unstructured", "--criterion", "sparsegpt", "--revival", "ema"}, "cannot come back");
  refused({"--criterion", "sparsegpt"}, "chooses single weights, not heads and channels");
  refused({"--within", "row"}, "heads and channels are compared by --ranking");
}
