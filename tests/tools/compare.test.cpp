// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "read_report.hpp"
#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> common{"--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--steps", "40", "--prune-every", "5", "--runs", "1"};

std::vector<nlohmann::json> trials(const std::string& directory) {
  std::vector<nlohmann::json> all;
  std::istringstream lines(read(directory + "/trials.jsonl"));
  for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

}  // namespace

TEST_CASE("An arm is the run that prune would have made, bit for bit, and the dense arm the one that train would have") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const std::vector<std::string> files{"-d", data, "--val", val};
  const Result all = run(std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "all", "--criteria", "lora", "--sparsities",
                                                  "50%", "--seeds", "1", "--warmup", "0", "--seed", "7"} + files + common);
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  const auto arms = trials(scratch / "all");
  REQUIRE(arms.size() == 2);
  CHECK(arms[0].at("criterion") == "");

  const Result one = run(std::vector<std::string>{"prune", checkpoint(), "-o", scratch / "one", "--sparsity", "0.5", "--warmup", "0",
                                                  "--seed", "7", "--json"} + files + common);
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  CHECK(arms[1].at("loss") == one.json().at("pruned").at("loss"));
  CHECK(arms[1].at("parameters") == one.json().at("pruned").at("parameters"));
  CHECK(arms[1].at("reached") == one.json().at("pruning").at("reached"));

  // What arms share is a part of the same run: the dense arm has seen the very batches and moments that train has.
  const Result shared = run(std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "shared", "--criteria", "magnitude",
                                                     "--sparsities", "0.5", "--seeds", "1", "--warmup", "0.3", "--seed", "7"} + files + common);
  CAPTURE(shared.err);
  REQUIRE(shared.code == 0);
  CHECK(trials(scratch / "shared")[0].at("loss") == arms[0].at("loss"));
  const Result train = run(std::vector<std::string>{"train", checkpoint(), "-o", scratch / "adapter", "--seed", "7", "--json"} + files +
                           std::vector<std::string>(common.begin(), common.end() - 4));
  CAPTURE(train.err);
  REQUIRE(train.code == 0);
  CHECK(arms[0].at("loss").get<double>() == doctest::Approx(train.json().at("after").at("loss").get<double>()).epsilon(1e-6));
}

TEST_CASE("An arm that took up the shared steps is the run that prune would have made, where scores do not remember") {
  const Scratch scratch;
  const std::vector<std::string> files{"-d", token_file(scratch, "d.bin", 6000), "--val", token_file(scratch, "v.bin", 900, 48, 2)},
      how{"--warmup", "0.25", "--ema", "0", "--seed", "7"};
  const Result all = run(std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "all", "--criteria", "magnitude", "--sparsities", "0.5", "--seeds", "1"} +
                         files + how + common);
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  const Result one = run(std::vector<std::string>{"prune", checkpoint(), "-o", scratch / "one", "--criterion", "magnitude", "--json"} + files + how + common);
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  const auto arm = trials(scratch / "all").at(1);
  CHECK(arm.at("loss") == one.json().at("pruned").at("loss"));
  CHECK(arm.at("parameters") == one.json().at("pruned").at("parameters"));
}

TEST_CASE("Criteria bring options of their own, and arms of single weights are what the file of prune computes") {
  const Scratch scratch;
  const std::vector<std::string> files{"-d", token_file(scratch, "d.bin", 6000), "--val", token_file(scratch, "v.bin", 900, 48, 2)},
      how{"--granularity", "unstructured", "--warmup", "0", "--seed", "7"};
  const Result all = run(std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "all", "--criteria",
                                                  "obs,obs+update-weights,lora+power=abs,random", "--sparsities", "0.5", "--seeds", "1"} + files + how + common);
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  const auto arms = trials(scratch / "all");
  REQUIRE(arms.size() == 5);
  CHECK(arms[1].at("loss") != arms[2].at("loss"));
  CHECK_FALSE(all.says("Chance is not among the criteria"));
  const std::vector<std::vector<std::string>> same{{"obs"}, {"obs", "--update-weights"}, {"lora", "--power", "abs"}, {"random"}};
  for (std::size_t k = 0; k < same.size(); ++k) {
    const Result one = run(std::vector<std::string>{"prune", checkpoint(), "-o", scratch / ("one" + std::to_string(k)), "--json", "--criterion"} + same[k] +
                           files + how + common);
    CAPTURE(one.err);
    CAPTURE(arms[k + 1].at("criterion").get<std::string>());
    REQUIRE(one.code == 0);
    CHECK(arms[k + 1].at("loss") == one.json().at("pruned").at("loss"));
    CHECK(arms[k + 1].at("reached") == one.json().at("pruning").at("reached"));
  }
}

TEST_CASE("A comparison goes on where it was interrupted, and only with the same data and settings") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000), val = token_file(scratch, "v.bin", 500, 48, 2);
  const std::vector<std::string> call = std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "c", "--criteria",
                                                                 "magnitude,random", "--sparsities", "0.25,0.5", "--seeds", "2", "--json",
                                                                 "-d", data, "--val", val} + common;
  const Result whole = run(call);
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(trials(scratch / "c").size() == 2 * (1 + 2 * 2));
  const nlohmann::json rows = whole.json().at("rows");
  REQUIRE(rows.size() == 1 + 2 * 2);
  for (const auto& row : rows) CHECK(row.at("loss").at("n") == 2);
  for (const char* name : {"run.json", "report.html", "trials.jsonl"}) CHECK(fs::exists(scratch / ("c/" + std::string(name))));

  // Finished, it is told again from what was kept, and nothing is computed.
  const std::string kept = read(scratch / "c/trials.jsonl");
  const Result again = run({"compare", "--resume", scratch / "c", "--json"});
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(again.json().at("rows") == rows);
  CHECK(again.json().at("paired") == whole.json().at("paired"));
  CHECK(read(scratch / "c/trials.jsonl") == kept);
  CHECK_FALSE(again.says(" removed, "));  // the line of an arm
  const Result table = run({"compare", "--resume", scratch / "c"});
  CHECK(table.prints("loss minus that of magnitude"));
  CHECK(read(scratch / "c/report.html").find("loss minus that of magnitude") != std::string::npos);

  const std::string text = read(scratch / "c/trials.jsonl");
  std::size_t third = 0;
  for (int k = 0; k < 3; ++k) third = text.find('\n', third) + 1;
  write(scratch / "c/trials.jsonl", text.substr(0, third + 20));  // and a line that was cut off
  const Result resumed = run({"compare", "--resume", scratch / "c", "--json"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    CHECK(resumed.json().at("rows").at(r).at("loss") == rows.at(r).at("loss"));
    CHECK(resumed.json().at("rows").at(r).at("criterion") == rows.at(r).at("criterion"));
  }

  // Other arms may join; another way to train may not.
  const Result more = run({"compare", "--resume", scratch / "c", "--sparsities", "0.25", "--seeds", "1", "--runs", "2", "--json"});
  CAPTURE(more.err);
  CHECK(more.code == 0);
  for (const auto& [option, value] : {std::pair{"--lr", "1e-3"}, {"--ema", "0.5"}, {"--rank", "4"}, {"--granularity", "unstructured"},
                                      {"--prune-every", "4"}, {"--val-tokens", "100"}}) {
    const Result mixed = run({"compare", "--resume", scratch / "c", option, value});
    CAPTURE(mixed.err);
    CHECK(mixed.code == 2);
    CHECK(mixed.says("made with " + std::string(option).substr(2)));
  }

  token_file(scratch, "v.bin", 500, 48, 3);
  const Result other = run({"compare", "--resume", scratch / "c"});
  CHECK(other.code == 2);
  CHECK(other.says("val_sha256"));
}

TEST_CASE("What cannot be compared is said before anything is trained") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const Result unknown = run({"compare", checkpoint(), "-d", data, "-o", scratch / "c", "--criteria", "lora,luck"});
  CHECK(unknown.code == 2);
  CHECK(unknown.says("--criteria has 'luck', expected some of lora"));
  const Result share = run({"compare", checkpoint(), "-d", data, "-o", scratch / "c", "--sparsities", "0.5,1.5"});
  CHECK(share.code == 2);
  CHECK(share.says("--sparsities is '1.5', expected shares above 0 and below 1"));
  CHECK(run({"compare", checkpoint(), "-o", scratch / "c"}).says("-d FILE is missing"));
  for (const auto& [criteria, what] : {std::pair{"obs+rank=4", "'rank' is no option of a criterion"}, {"lora+power", "power has no value"},
                                       {"wanda+power=abs", "power says nothing to wanda"}, {"obs+update-weights+revival=ema", "--revival has to be none"},
                                       {"lora+power=cube", "--power is 'cube'"}}) {
    const Result refused = run({"compare", checkpoint(), "-d", data, "-o", scratch / "c", "--criteria", criteria});
    CAPTURE(refused.err);
    CHECK(refused.code == 2);
    CHECK(refused.says(what));
  }
  CHECK_FALSE(fs::exists(scratch / "c"));
}

TEST_CASE("Without --criteria all are compared that go with the granularity and the other settings") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const auto compared = [&](const std::vector<std::string>& settings) {
    const Result r = run(std::vector<std::string>{"compare", checkpoint(), "-d", data, "-o", scratch / "c", "--sparsities", "0.5", "--seeds", "1", "--dry-run", "--json"} +
                         settings + common);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    return r.json().at("arms").get<int>() - 1;  // the dense one
  };
  // lora, full, signed, movement, wanda, obs with and without its update, sparsegpt, magnitude, random: ten
  CHECK(compared({}) == 9);
  CHECK(compared({"--revival", "ema"}) == 8);
  CHECK(compared({"--tuning", "full"}) == 8);
  CHECK(compared({"--tuning", "sequential"}) == 8);
  CHECK(compared({"--granularity", "layers"}) == 8);
  CHECK(compared({"--granularity", "unstructured"}) == 9);
  CHECK(compared({"--granularity", "unstructured", "--accumulate", "2"}) == 8);      // not full
  CHECK(compared({"--granularity", "unstructured", "--within", "model"}) == 7);      // nor SparseGPT
  CHECK(compared({"--granularity", "rows"}) == 8);
}

TEST_CASE("An arm that fails is named, and what came before it is kept") {
  const Scratch scratch;
  const std::vector<std::string> call = std::vector<std::string>{"compare", checkpoint(), "-d", token_file(scratch, "d.bin", 3000), "--val",
                                                                 token_file(scratch, "v.bin", 500, 48, 2), "-o", scratch / "c", "--criteria",
                                                                 "magnitude,obs", "--sparsities", "0.5", "--seeds", "1", "--clip", "0", "--lr-schedule", "constant"} + common;
  const Result r = run(call + std::vector<std::string>{"--lr", "1e30"});
  CAPTURE(r.err);
  CHECK(r.code == 4);
  CHECK(r.says("seed 42"));
  CHECK(r.says("go on without it: espalier compare --resume"));
  CHECK(nlohmann::json::parse(read(scratch / "c/run.json")).at("status") == "failed");
}

TEST_CASE("Criteria are told apart seed by seed, by mean and 95 % of the differences, and the chart has the means of the arms") {
  const Scratch scratch;
  const Result r = run(std::vector<std::string>{"compare", checkpoint(), "-o", scratch / "c", "--criteria", "random,lora,magnitude", "--sparsities",
                                                "0.25,0.5", "--seeds", "3", "--json", "-d", token_file(scratch, "d.bin", 3000), "--val",
                                                token_file(scratch, "v.bin", 500, 48, 2)} + common);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto paired = r.json().at("paired");
  CHECK(paired.at("reference") == "lora");
  REQUIRE(paired.at("rows").size() == 4);  // two others at two sparsities
  const auto arms = trials(scratch / "c");
  const auto loss = [&](const std::string& criterion, double sparsity, int seed) {
    for (const auto& a : arms)
      if (a.at("criterion") == criterion && a.at("sparsity") == sparsity && a.at("seed") == seed) return a.at("loss").get<double>();
    return std::nan("");
  };
  for (const auto& row : paired.at("rows")) {
    double d[3], mean = 0, squares = 0;
    for (int k = 0; k < 3; ++k) {
      d[k] = loss(row.at("criterion"), row.at("sparsity"), 42 + k) - loss("lora", row.at("sparsity"), 42 + k);
      mean += d[k] / 3;
    }
    for (const double x : d) squares += (x - mean) * (x - mean);
    CHECK(row.at("loss").at("n") == 3);
    CHECK(row.at("loss").at("mean").get<double>() == doctest::Approx(mean).epsilon(1e-9));
    CHECK(row.at("loss").at("half_width_95").get<double>() == doctest::Approx(4.302653 * std::sqrt(squares / 2 / 3)).epsilon(1e-5));
  }
  std::map<std::string, std::vector<double>> means{{"random", {}}, {"lora", {}}, {"magnitude", {}}};
  for (auto& [criterion, points] : means)
    for (const double sparsity : {0.0, 0.25, 0.5}) {
      points.push_back(0);
      for (int k = 0; k < 3; ++k) points.back() += loss(sparsity == 0 ? "" : criterion, sparsity, 42 + k) / 3;
    }
  const std::string chart = figure(read(scratch / "c/report.html"), "Held-out loss, nats per token");
  const auto keys = found(chart, "<span class=\"key (c[0-9])\">([^<]*)</span>");
  REQUIRE(keys.size() == 3);
  for (const auto& key : keys) {
    CAPTURE(key[1]);
    REQUIRE(means.count(key[1]) == 1);
    const auto drawn = read_off(chart, key[0]);
    const auto& meant = means[key[1]];
    REQUIRE(drawn.size() == meant.size());
    for (std::size_t i = 0; i < meant.size(); ++i) CHECK(drawn[i] == doctest::Approx(meant[i]).epsilon(1e-3));
    const auto dots = found(chart, ("class=\"dot " + key[0] + "\"[^>]*><title>" + key[1] + ", sparsity ([0-9]+)%: ([0-9.]+)</title>").c_str());
    REQUIRE(dots.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(dots[i][0] == std::to_string(25 * i));
      CHECK(dots[i][1] == fixed(meant[i], 3));
    }
  }
}
