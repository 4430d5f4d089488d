// SPDX-License-Identifier: MIT
// What a plan says of units before any weight is touched.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> small{"--seq-len", "16", "--batch", "4", "--seed", "7"};

nlohmann::json planned(const std::vector<std::string>& arguments) {
  const Result r = run(std::vector<std::string>{"plan"} + arguments + std::vector<std::string>{"--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  return r.json();
}

}  // namespace

TEST_CASE("A plan names the units that prune would choose at its first event, by the same scores to the last bit") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"lora"}, {"full", "--power", "abs", "--ranking", "global"}, {"signed"},
                                              {"movement"}, {"wanda", "--normalise", "none"}, {"obs"}, {"lora", "--granularity", "layers"},
                                              {"lora", "--granularity", "hidden"}}) {
    CAPTURE(how.front());
    const std::vector<std::string> common = small + std::vector<std::string>{"-d", data, "--criterion"} + how;
    const auto plan = planned(std::vector<std::string>{checkpoint(), "--score-batches", "6"} + common);
    CHECK(plan.at("scores").at("batches") == 6);
    CHECK(plan.at("scores").at("loss").get<double>() > 1);
    // Steps that lead nowhere, so that a run sees the weights that the plan saw; one event, at the last step.
    const std::string out = scratch / ("out-" + how.front() + how.back());
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "--val", val, "-o", out, "--lr", "1e-30", "--steps", "6", "--prune-every", "6",
                                                  "--schedule", "linear", "--warmup", "0", "--cooldown", "0", "--compact", "end", "--runs", "1"} + common);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto chosen = nlohmann::json::parse(read(out + "/espalier_plan.json")).at("groups");
    REQUIRE(plan.at("plan").size() == chosen.size());
    for (std::size_t g = 0; g < chosen.size(); ++g) {
      CHECK(plan.at("plan")[g].at("kept") == chosen[g].at("kept"));
      CHECK(plan.at("plan")[g].at("scores") == chosen[g].at("scores"));
    }
  }
}

TEST_CASE("What leaves at a budget is what its row counts, and of one order: a larger share removes more of the same units") {
  const Scratch scratch;
  const std::vector<std::string> common = small + std::vector<std::string>{checkpoint("llama-mha"), "-d", token_file(scratch, "d.bin", 3000)};
  const auto plan = planned(common + std::vector<std::string>{"--sparsity", "0.6"});
  std::vector<std::vector<int>> last;
  int rows = 0;
  for (const auto& row : plan.at("outcomes")) {
    REQUIRE(row.at("units").size() == 4);
    for (std::size_t g = 0; g < 4; ++g) {
      const auto kept = row.at("units")[g].at("kept").get<std::vector<int>>();
      CHECK(int(kept.size()) == row.at("groups")[g].at("kept"));
      if (rows > 0) CHECK(std::includes(last[g].begin(), last[g].end(), kept.begin(), kept.end()));
      last.resize(4), last[g] = kept;
      // The lowest have gone.
      const auto scores = plan.at("plan")[g].at("scores").get<std::vector<double>>();
      double stays = 1e300, leaves = 0;
      for (int u = 0; u < int(scores.size()); ++u)
        (std::binary_search(kept.begin(), kept.end(), u) ? stays = std::min(stays, scores[std::size_t(u)]) : leaves = std::max(leaves, scores[std::size_t(u)]));
      CHECK(leaves <= stays);
    }
    if (row.at("asked") == 0.6)
      for (std::size_t g = 0; g < 4; ++g) CHECK(row.at("units")[g].at("kept") == plan.at("plan")[g].at("kept"));
    ++rows;
  }
  CHECK(rows == 5);

  const Result text = run(std::vector<std::string>{"plan"} + common);
  CHECK(text.code == 0);
  for (const char* words : {"by lora, from 8 batches of 4", "lowest score", "leave at 0.75", "units that stay"}) CHECK(text.prints(words));
  CHECK(text.says("adapters are as they start, B = 0"));
  CHECK_FALSE(text.prints("leaves at"));
  const Result every = run(std::vector<std::string>{"plan", "-v"} + common);
  CHECK(every.prints("leaves at"));
  CHECK(std::count(every.out.begin(), every.out.end(), '\n') > std::count(text.out.begin(), text.out.end(), '\n') + 2 * 44);

  // A target has one outcome.
  const auto target = planned(common + std::vector<std::string>{"--target-macs", "9k", "--criterion", "wanda"});
  CHECK(target.at("outcomes").size() == 1);
  CHECK(target.at("outcomes")[0].at("units") != target.at("outcomes")[0].at("groups"));
}

TEST_CASE("An adapter that has learnt is scored as it is, and scores of weights alone take no data") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const std::vector<std::string> common = small + std::vector<std::string>{checkpoint(), "-d", data};
  const auto fresh = planned(common), learnt = planned(common + std::vector<std::string>{"--adapter", checkpoint() + "/adapter"});
  CHECK(fresh.at("plan")[1].at("scores") != learnt.at("plan")[1].at("scores"));
  CHECK(planned(common).at("plan") == fresh.at("plan"));
  const auto magnitude = planned({checkpoint(), "--criterion", "magnitude"}), summed = planned({checkpoint(), "--criterion", "magnitude", "--normalise", "none"});
  CHECK(magnitude.at("plan")[0].at("scores").size() == 2);
  CHECK(magnitude.at("plan")[0].at("scores") != summed.at("plan")[0].at("scores"));
  CHECK_FALSE(planned({checkpoint()}).contains("plan"));
  for (const std::string model : {"gpt2", "vit"}) {
    CAPTURE(model);
    const std::string file = model == "gpt2" ? data : std::string(ESPALIER_TEST_DATA) + "/examples/images.npy";
    const Result r = run(std::vector<std::string>{"plan", checkpoint(model), "-d", file, "--json"} + small);
    CAPTURE(r.err);
    if (r.says("this build reads no .npy")) continue;
    REQUIRE(r.code == 0);
    CHECK(r.json().at("plan").size() == 4);
  }
}

TEST_CASE("What a plan cannot know it says, and what makes no sense it refuses") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const Result counted = run({"plan", checkpoint(), "--criterion", "full"});
  CHECK(counted.code == 0);
  CHECK(counted.says("-d FILE scores units"));
  const auto refused = [&](const std::vector<std::string>& options, const char* why, int code = 2) {
    const Result r = run(std::vector<std::string>{"plan", checkpoint()} + options);
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(r.says(why));
    CHECK(r.out.empty());
  };
  refused({"-d", data, "--criterion", "magnitude"}, "reads the weights alone");
  refused({"--score-batches", "4"}, "--data is read, which is not given");
  refused({"-d", data, "--score-batches", "0"}, "--score-batches is below 1");
  refused({"-d", data, "--official"}, "chooses again and again");
  refused({"-d", data, "--granularity", "2:4"}, "makes single weights zero");
  refused({"-d", data, "--official", "--normalise", "none"}, "--official normalises over all units");
  refused({"-d", scratch / "nothing.bin"}, "nothing.bin", 3);
}
