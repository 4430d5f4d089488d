// SPDX-License-Identifier: MIT
// What a run shows is what it did: text, progress and report are held against run.json, metrics.jsonl and the plan.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "read_report.hpp"
#include "run_tool.hpp"

using namespace tooltest;

namespace {

constexpr int kSteps = 12;

/// One pruned run that all cases look at, with its stderr in a file or on a terminal.
struct Shown {
  explicit Shown(bool terminal) {
    How how;
    how.terminal = terminal;
    said = run({"prune", checkpoint(), "-d", token_file(scratch, "t.bin", 6000), "-o", scratch / "out", "--steps", std::to_string(kSteps),
                "--batch", "2", "--seq-len", "16", "--sparsity", "0.5", "--prune-every", "2", "--eval-every", "6", "--lr", "1e-2", "--runs", "3"},
               how);
    if (said.code != 0) return;
    record = nlohmann::json::parse(read(scratch / "out/run.json"));
    plan = nlohmann::json::parse(read(scratch / "out/espalier_plan.json"));
    html = read(scratch / "out/report.html");
    std::istringstream lines(read(scratch / "out/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) metrics.push_back(nlohmann::json::parse(line));
  }
  Scratch scratch;
  Result said;
  nlohmann::json record, plan;
  std::vector<nlohmann::json> metrics;
  std::string html;
};

const Shown& plain() {
  static const Shown shown(false);
  return shown;
}

std::string without_commas(std::string text) {
  std::erase(text, ',');
  return text;
}
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("The line of trainable parameters is PEFT's, to the letter, and counts what the adapter's file holds") {
  const Shown& shown = plain();
  CAPTURE(shown.said.err);
  REQUIRE(shown.said.code == 0);
  const auto line = found(shown.said.err, "(?:^|\n)trainable params: ([0-9,]+) \\|\\| all params: ([0-9,]+) \\|\\| trainable%: ([0-9.]+)\n");
  REQUIRE(line.size() == 1);
  // r (in + out) of each of seven maps in two layers: hidden 24, 4 heads over 2 of 6, 40 channels
  const auto config = nlohmann::json::parse(read(checkpoint() + "/config.json"));
  const long d = config.at("hidden_size"), width = config.at("head_dim"), q = width * long(config.at("num_attention_heads")),
             k = width * long(config.at("num_key_value_heads")), f = config.at("intermediate_size"), layers = config.at("num_hidden_layers");
  const long trained = 8 * layers * (2 * (d + q) + 2 * (d + k) + 3 * (d + f)), all = trained + long(shown.record.at("result").at("dense").at("parameters"));
  CHECK(std::stol(without_commas(line[0][0])) == trained);
  CHECK(std::stol(without_commas(line[0][1])) == all);
  CHECK(line[0][2] == fixed(100.0 * double(trained) / double(all), 4));
}

TEST_CASE("Where stderr is no terminal, progress is a line a step, in plain characters, with what metrics.jsonl says") {
  const Shown& shown = plain();
  REQUIRE(shown.said.code == 0);
  CHECK(shown.said.err.find('\r') == std::string::npos);
  CHECK(shown.said.err.find('\033') == std::string::npos);
  const auto lines = found(shown.said.err,
                           "step ([0-9]+)/12 \\| loss ([0-9.]+) \\| val ([0-9.]+) \\| sparsity ([0-9.]+)% \\| [0-9.]+ [KM]iB \\| lr ([-0-9.e]+) \\| [0-9.]+ ms \\| "
                           "[0-9.]+[kM]? tok/s \\| eta ([0-9]+:[0-9]{2})\n");
  REQUIRE(lines.size() == kSteps);
  std::string val;
  std::size_t at = 0;
  for (const nlohmann::json& m : shown.metrics) {
    if (m.at("step") > 0) {
      const auto& line = lines.at(at++);
      CHECK(line[0] == std::to_string(int(m.at("step"))));
      CHECK(line[1] == fixed(m.at("loss"), 3));
      CHECK(line[2] == val);
      CHECK(line[3] == fixed(100 * double(m.at("sparsity")), 1));
      CHECK(std::stod(line[4]) == doctest::Approx(double(m.at("lr"))).epsilon(0.06));
    }
    if (m.contains("val_loss")) val = fixed(m.at("val_loss"), 3);
  }
  CHECK(lines.back()[5] == "0:00");
}

TEST_CASE("On a terminal progress rewrites one line, and leaves nothing of it behind") {
  if (!Terminal().works()) {
    MESSAGE("skipped: this system has no pseudo-terminals");
    return;
  }
  const Shown live(true);
  CAPTURE(live.said.err);
  REQUIRE(live.said.code == 0);
  const std::string& err = live.said.err;
  // Every rewriting starts at the left and clears; a line that stays is preceded by a cleared one.
  int rewritten = 0;
  for (std::size_t at = err.find("| loss "); at != std::string::npos; at = err.find("| loss ", at + 1)) {
    const std::size_t begins = err.rfind("\r\033[K", at);
    REQUIRE(begins != std::string::npos);
    CHECK(err.substr(begins, at - begins).find('\n') == std::string::npos);
    const std::size_t next = std::min(err.find("\r\033[K", at), err.find('\n', at));
    CHECK(err.compare(next, 4, "\r\033[K") == 0);
    ++rewritten;
  }
  CHECK(rewritten >= 2);
  CHECK(err.find("\033[1mstep 12/12 | val ") != std::string::npos);  // what stays is bold
  CHECK(live.said.out.find('\033') == std::string::npos);  // the result has no colours: stdout is a file
}

TEST_CASE("The table of before and after is run.json's numbers in aligned columns") {
  const Shown& shown = plain();
  REQUIRE(shown.said.code == 0);
  const auto& dense = shown.record.at("result").at("dense");
  const auto& pruned = shown.record.at("result").at("pruned");
  std::map<std::string, std::vector<std::string>> rows;
  std::size_t width = 0;
  for (const std::string& line : lines_of(shown.said.out)) {
    if (rows.empty() && line.find("dense") == std::string::npos) continue;
    if (line.empty()) break;
    const auto cells = found(line + "  ", "([^ ](?:[^ ]| [^ ])*)(?:  +)");
    REQUIRE(cells.size() >= 3);
    std::vector<std::string> texts;
    for (const auto& c : cells) texts.push_back(c[0]);
    rows.insert({texts.front(), {texts.begin() + 1, texts.end()}});
    if (width == 0) width = line.size();
    CHECK(line.size() == width);  // the last column is to the right
  }
  REQUIRE(rows.count("parameters") == 1);
  CHECK(without_commas(rows["parameters"][0]) == std::to_string(long(dense.at("parameters"))));
  CHECK(without_commas(rows["parameters"][1]) == std::to_string(long(pruned.at("parameters"))));
  CHECK(rows["parameters"][2] == "-" + fixed(100 - 100 * double(pruned.at("parameters")) / double(dense.at("parameters")), 1) + "%");
  CHECK(rows["perplexity"][0] == fixed(dense.at("perplexity"), 3));
  CHECK(rows["perplexity"][1] == fixed(pruned.at("perplexity"), 3));
  CHECK(dense.at("file_bytes") == fs::file_size(checkpoint() + "/model.safetensors"));  // not what else lies there
  CHECK(rows["file size"][1] == fixed(double(pruned.at("file_bytes")) / 1024, 1) + " KiB");
  CHECK(rows["MACs per token"][1] == fixed(double(pruned.at("macs_per_token")) / 1000, 1) + "k");
  CHECK(rows["latency"][0] == fixed(dense.at("latency_ms"), 2) + " ms");
  CHECK(rows["latency"][2] == fixed(double(dense.at("latency_ms")) / double(pruned.at("latency_ms")), 2) + "x");
}

TEST_CASE("The curves of the report are those of metrics.jsonl, read off their own grids") {
  const Shown& shown = plain();
  REQUIRE(shown.said.code == 0);
  std::vector<double> loss, val, sparsity;
  for (const nlohmann::json& m : shown.metrics) {
    if (m.contains("loss")) loss.push_back(m.at("loss")), sparsity.push_back(100 * double(m.at("sparsity")));
    if (m.contains("val_loss")) val.push_back(m.at("val_loss"));
  }
  const auto same = [](const std::vector<double>& drawn, const std::vector<double>& meant, double within) {
    REQUIRE(drawn.size() == meant.size());
    for (std::size_t i = 0; i < meant.size(); ++i) CHECK(std::abs(drawn[i] - meant[i]) <= within);
  };
  const std::string losses = figure(shown.html, "Loss");
  same(read_off(losses, "faint"), loss, 2e-3);  // a tenth of a pixel
  same(read_off(losses, "main"), val, 2e-3);
  const auto dots = found(losses, "<title>held out, step ([0-9]+): ([0-9.]+)</title>");
  REQUIRE(dots.size() == val.size());
  for (std::size_t i = 0; i < val.size(); ++i) CHECK(dots[i][1] == fixed(val[i], 3));
  same(read_off(figure(shown.html, "Sparsity"), "main"), sparsity, 0.1);
}

TEST_CASE("The picture of what was kept is the plan's, unit by unit") {
  const Shown& shown = plain();
  REQUIRE(shown.said.code == 0);
  const std::string picture = shown.html.substr(shown.html.find("What each layer kept"));
  const auto rows = found(picture, "<span class=\"layer\">layer ([0-9]+)</span><svg class=\"heads\"(.*?)</svg>.*?<svg class=\"channels\"(.*?)</svg>");
  REQUIRE(rows.size() == 2);
  for (const auto& group : shown.plan.at("groups")) {
    CAPTURE(group.dump().substr(0, 100));
    const std::vector<int> kept = group.at("kept");
    const auto& row = rows.at(group.at("layer"));
    std::vector<int> drawn;
    if (group.at("kind") == "channels") {
      for (const auto& cell : found(row[2], "M([0-9]+) 0h1v1h-1z")) drawn.push_back(std::stoi(cell[0]));
    } else {
      for (const auto& cell : found(row[1], "<rect class=\"kept\"[^>]*><title>head group ([0-9]+): kept")) drawn.push_back(std::stoi(cell[0]));
    }
    CHECK(drawn == kept);
  }
}
