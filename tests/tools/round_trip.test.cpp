// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> small_run{"--seq-len", "16", "--batch", "4", "--lr", "3e-3", "--eval-every", "20"};

/// What the table of settings says of one.
std::string told(const Result& r, const std::string& name) {
  std::istringstream words(r.err);
  for (std::string word; words >> word;)
    if (word == name && words >> word) return word;
  return "";
}

double perplexity(const std::vector<std::string>& model, const std::string& data) {
  const Result r = run(std::vector<std::string>{"eval"} + model +
                       std::vector<std::string>{"-d", data, "--seq-len", "16", "--runs", "1", "--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  return r.json().at("perplexity").get<double>();
}

}  // namespace

TEST_CASE("train, merge, eval: the adapter helps, and the merged model is the model with its adapter") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const Result r =
      run(std::vector<std::string>{"train", checkpoint(), "-d", data, "--val", val, "-o", scratch / "adapter",
                                   "--steps", "60", "--rank", "4", "--targets", "q_proj,v_proj,down_proj", "--json"} +
          small_run);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.says("trainable params: "));
  CHECK(r.says(" || trainable%: "));
  const double before = r.json().at("before").at("perplexity").get<double>(),
               after = r.json().at("after").at("perplexity").get<double>();
  CHECK(after < 0.9 * before);
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "run.json", "metrics.jsonl", "report.html"})
    CHECK(fs::exists(scratch / ("adapter/" + std::string(name))));
  CHECK_FALSE(fs::exists(scratch / "adapter/.result"));

  REQUIRE(run({"merge", checkpoint(), "-a", scratch / "adapter", "-o", scratch / "merged"}).code == 0);
  const double with = perplexity({checkpoint(), "-a", scratch / "adapter"}, val),
               merged = perplexity({scratch / "merged"}, val);
  CHECK(std::abs(with - after) < 1e-5 * after);
  CHECK(std::abs(with - merged) < 1e-4 * merged);
  CHECK(run({"info", scratch / "adapter", "--json"}).json().at("rank") == 4);
}

TEST_CASE("prune, export, eval: half the units leave, every file of the run is there and says what was measured") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "--val", val, "-o",
                                                scratch / "small", "--steps", "60", "--sparsity", "0.5", "--json"} +
                       small_run);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto result = r.json();
  CHECK(result.at("pruning").at("reached").get<double>() == doctest::Approx(0.5));
  CHECK(result.at("pruned").at("parameters").get<int>() < result.at("dense").at("parameters").get<int>());
  CHECK(result.at("pruned").at("file_bytes") == fs::file_size(scratch / "small/model.safetensors"));
  CHECK(result.at("pruned").at("latency_ms").get<double>() > 0);

  const auto record = nlohmann::json::parse(read(scratch / "small/run.json"));
  CHECK(record.at("status") == "done");
  CHECK(record.at("settings").at("sparsity") == 0.5);
  CHECK(record.at("data").at("sha256").get<std::string>().size() == 64);
  CHECK(record.at("result") == result);
  std::istringstream lines(read(scratch / "small/metrics.jsonl"));
  std::string line;
  int steps = 0, evaluations = 0, compactions = 0;
  long bytes = 0;
  while (std::getline(lines, line)) {
    const auto m = nlohmann::json::parse(line);
    if (m.at("step") != 0) {
      ++steps;
      for (const char* key : {"loss", "lr", "grad_norm", "sparsity", "params", "tokens_per_s", "ms", "bytes"})
        CHECK(m.contains(key));
      if (bytes > 0) CHECK(m.at("bytes") <= bytes);  // units leave, and nothing comes
      bytes = m.at("bytes");
    }
    evaluations += m.contains("val_loss") ? 1 : 0;
    if (m.contains("compaction")) {
      ++compactions;
      CHECK(m.at("compaction").at("params") == m.at("params"));
      CHECK(m.at("compaction").at("bytes_after") < m.at("compaction").at("bytes_before"));
    }
    if (m.at("step") == 60) CHECK(m.at("params") == result.at("pruned").at("parameters"));
  }
  CHECK(steps == 60);
  CHECK(evaluations == 4);
  CHECK(compactions >= 3);
  const auto& stretches = result.at("stretches");
  REQUIRE(int(stretches.size()) == compactions + 1);
  CHECK(stretches.front().at("params") == result.at("dense").at("parameters"));
  CHECK(stretches.back().at("params") == result.at("pruned").at("parameters"));
  CHECK(stretches.back().at("bytes") < stretches.front().at("bytes"));
  CHECK(stretches.back().at("step_ms") > 0);
  const auto plan = nlohmann::json::parse(read(scratch / "small/espalier_plan.json"));
  CHECK(plan.at("groups").size() == 4);

  const std::string html = read(scratch / "small/report.html");
  CHECK(html.starts_with("<!doctype html>"));
  CHECK(html.find("<script") == std::string::npos);
  CHECK(html.find("http") == std::string::npos);
  CHECK(html.find("class=\"kept\"") != std::string::npos);
  CHECK(html.find("As units left") != std::string::npos);
  CHECK(html.find("prefers-color-scheme:dark") != std::string::npos);

  const double small = perplexity({scratch / "small"}, val);
  CHECK(small == doctest::Approx(result.at("pruned").at("perplexity").get<double>()));
  REQUIRE(run({"export", scratch / "small", "-o", scratch / "padded", "--layout", "padded"}).code == 0);
  CHECK(perplexity({scratch / "padded"}, val) == doctest::Approx(small).epsilon(1e-6));
  REQUIRE(run({"export", scratch / "small", "-o", scratch / "half", "--dtype", "bf16"}).code == 0);
  CHECK(fs::file_size(scratch / "half/model.safetensors") <
        0.7 * double(fs::file_size(scratch / "small/model.safetensors")));
  CHECK(perplexity({scratch / "half"}, val) == doctest::Approx(small).epsilon(0.02));
}

TEST_CASE("units that leave during the run, or when it has ended: the same units, and the same model but for rounding") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const auto prune = [&](const std::string& out, const std::vector<std::string>& more) {
    return run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "--val", val, "-o", scratch / out, "--steps",
                                        "60", "--prune-every", "6", "--dropout", "0.1", "--runs", "1", "--json"} +
               small_run + more);
  };
  const Result live = prune("live", {}), end = prune("end", {"--compact", "end"});
  CAPTURE(live.err);
  REQUIRE(live.code == 0);
  REQUIRE(end.code == 0);
  CHECK(told(live, "compact") == "live");
  CHECK(told(end, "compact") == "end");
  CHECK(live.says("while units left: a step took "));
  CHECK_FALSE(end.says("while units left"));
  CHECK(live.json().at("stretches").size() > 3);
  CHECK(end.json().at("stretches").size() == 1);
  const auto kept = [&](const std::string& out) {
    const auto plan = nlohmann::json::parse(read(scratch / (out + "/espalier_plan.json")));
    std::vector<nlohmann::json> all;
    for (const auto& group : plan.at("groups")) all.push_back(group.at("kept"));
    return all;
  };
  CHECK(kept("live") == kept("end"));
  CHECK(perplexity({scratch / "live"}, val) == doctest::Approx(perplexity({scratch / "end"}, val)).epsilon(1e-4));

  // Units that may come back stay where they are, and nobody can have both.
  const Result revived = prune("revived", {"--revival", "ema"});
  CHECK(revived.code == 0);
  CHECK(told(revived, "compact") == "end");
  const Result both = prune("both", {"--revival", "ema", "--compact", "live"});
  CHECK(both.code == 2);
  CHECK(both.says("lets masked units come back"));
  CHECK(prune("official", {"--official", "--compact", "live"}).code == 2);
  CHECK_FALSE(fs::exists(scratch / "both"));
}

TEST_CASE("every criterion prunes, with global ranking to layers of different width") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  for (const char* criterion : {"lora", "full", "signed", "movement", "wanda", "obs", "magnitude", "random"}) {
    CAPTURE(criterion);
    const Result r = run(std::vector<std::string>{"prune", checkpoint("llama-mha"), "-d", data, "-o",
                                                  scratch / criterion, "--steps", "12", "--prune-every", "3",
                                                  "--criterion", criterion, "--ranking", "global", "--json"} +
                         small_run);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    CHECK(r.json().at("pruning").at("reached").get<double>() > 0.3);
  }
}

TEST_CASE("an interrupted run leaves a checkpoint, and the resumed one ends in the same bits") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000);
  for (const std::string verb : {"train", "prune"}) {
    CAPTURE(verb);
    const auto arguments = [&](const std::string& out) {
      return std::vector<std::string>{verb,      checkpoint(), "-d",        data,  "-o",          out,
                                      "--steps", "300",        "--dropout", "0.1", "--log-every", "10"} +
             small_run;
    };
    const std::string whole = scratch / (verb + "-whole"), cut = scratch / (verb + "-cut");
    REQUIRE(run(arguments(whole)).code == 0);
    const Result stopped = run(arguments(cut), {{}, {}, "step 80/"});  // units have left by then
    CAPTURE(stopped.err);
    REQUIRE(stopped.code == 130);
    CHECK(stopped.out.empty());
    CHECK(stopped.says("go on with: espalier " + verb + " --resume " + cut));
    CHECK(fs::exists(cut + "/LATEST"));
    CHECK(nlohmann::json::parse(read(cut + "/run.json")).at("status") == "interrupted");

    const Result resumed = run({verb, "--resume", cut});
    CAPTURE(resumed.err);
    REQUIRE(resumed.code == 0);
    const std::string file = verb == "train" ? "/adapter_model.safetensors" : "/model.safetensors";
    CHECK(read(cut + file) == read(whole + file));
    // Every step once, whichever run took it.
    const std::string metrics = read(cut + "/metrics.jsonl");
    CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 301);
    CHECK_FALSE(fs::exists(cut + "/LATEST"));
  }
}

TEST_CASE("a run that was killed goes on from its last checkpoint, to the same bits") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), whole = scratch / "whole", cut = scratch / "cut";
  const auto arguments = [&](const std::string& out) {
    return std::vector<std::string>{"prune",   checkpoint(), "-d",           data, "-o",          out,
                                    "--steps", "200",        "--save-every", "25", "--log-every", "10"} +
           small_run;
  };
  REQUIRE(run(arguments(whole)).code == 0);
  REQUIRE(run(arguments(cut), {{}, {}, "step 60/", SIGKILL}).code == 128 + SIGKILL);
  const Result resumed = run({"prune", "--resume", cut, "--threads", "2"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(read(cut + "/model.safetensors") == read(whole + "/model.safetensors"));
  CHECK(fs::exists(cut + "/checkpoint-200"));
  // Steps that were taken again are told once.
  const std::string metrics = read(cut + "/metrics.jsonl");
  CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 201);
}

TEST_CASE("resuming with other settings is refused, and so is a directory that holds no run") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000);
  const std::vector<std::string> arguments =
      std::vector<std::string>{"train",         checkpoint(), "-d",   data,          "-o",
                               scratch / "cut", "--steps",    "2000", "--log-every", "10"} +
      small_run;
  REQUIRE(run(arguments, {{}, {}, "step 20/", SIGTERM}).code == 130);
  const Result other = run({"train", "--resume", scratch / "cut", "--rank", "3"});
  CAPTURE(other.err);
  CHECK(other.code == 2);
  CHECK(run({"prune", "--resume", scratch / "cut"}).code == 2);
  CHECK(run({"train", "--resume", scratch / "nowhere"}).code == 3);
}

TEST_CASE("the same ids mean the same in .bin, .npy and .jsonl") {
  const Scratch scratch;
  const std::string bin = token_file(scratch, "d.bin", 400), bytes = read(bin);
  std::string header = "{'descr': '<u2', 'fortran_order': False, 'shape': (400,), }", ids;
  header.append(118 - header.size() - 1, ' ').append("\n");
  write(scratch / "d.npy",
        std::string("\x93NUMPY\x01\x00", 8) + char(header.size() & 255) + char(header.size() >> 8) + header + bytes);
  for (int i = 0; i < 400; ++i)
    ids += (i > 0 ? ", " : "") + std::to_string(int(static_cast<unsigned char>(bytes[std::size_t(2 * i)])));
  write(scratch / "d.jsonl", "{\"input_ids\": [" + ids + "]}\n");
  const double expected = perplexity({checkpoint()}, bin);
  CHECK(perplexity({checkpoint()}, scratch / "d.jsonl") == expected);
  const Result npy = run({"info", scratch / "d.npy", "--json"});
  if (npy.says("this build reads no .npy")) return;
  CHECK(npy.json().at("sha256") == run({"info", bin, "--json"}).json().at("sha256"));
  CHECK(perplexity({checkpoint()}, scratch / "d.npy") == expected);
}

TEST_CASE("Other families go the same way: a GPT-2 is planned, pruned and evaluated") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000), val = token_file(scratch, "v.bin", 500, 48, 2);
  const std::string model = checkpoint("gpt2");
  CHECK(run({"info", model, "--json"}).json().at("kind") == "model");
  const Result planned = run({"plan", model, "--sparsity", "0.5", "--json"});
  CAPTURE(planned.err);
  REQUIRE(planned.code == 0);
  const Result r = run(std::vector<std::string>{"prune", model, "-d", data, "--val", val, "-o", scratch / "small", "--steps", "30",
                                                "--sparsity", "0.5", "--json"} + small_run);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.json().at("pruning").at("reached") == planned.json().at("outcomes").at(2).at("reached"));
  CHECK(perplexity({scratch / "small"}, val) == doctest::Approx(r.json().at("pruned").at("perplexity").get<double>()));
  const Result other = run({"eval", checkpoint("gpt2"), "-d", data, "--seq-len", "4096", "--runs", "1"});
  CHECK(other.code == 2);
  CHECK(other.says("learned positions"));
}
