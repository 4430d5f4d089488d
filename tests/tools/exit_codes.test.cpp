// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

TEST_CASE("0: what was asked for is done, and stdout holds the result and nothing else") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 600);
  const Result eval = run({"eval", checkpoint(), "-d", data, "--seq-len", "16", "--runs", "3", "--json"});
  CAPTURE(eval.err);
  CHECK(eval.code == 0);
  CHECK(eval.json().at("perplexity").get<double>() > 1);
  CHECK(eval.json().at("tokens") == 599);
  CHECK(eval.json().at("latency_ms").get<double>() > 0);
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"doctor"},
           {"info", checkpoint()},
           {"info", checkpoint() + "/adapter"},
           {"info", data},
           {"plan", checkpoint()},
           {"info", checkpoint() + "/model.safetensors"},
           {"plan", checkpoint(), "--criterion", "magnitude", "--ranking", "global"}}) {
    CAPTURE(arguments.front());
    const Result json = run(arguments + std::vector<std::string>{"--json"}), text = run(arguments);
    CAPTURE(json.err);
    CHECK(json.code == 0);
    CHECK(json.json().is_object());
    CHECK(text.code == 0);
    CHECK_FALSE(text.out.empty());
    CHECK(text.out.find("\033[") == std::string::npos);
    CHECK(run(arguments + std::vector<std::string>{"--quiet"}).err.empty());
  }
}

TEST_CASE("1: the result could not be written") {
  const Result r = run({"info", checkpoint()}, {{}, "/dev/full", {}});
  CHECK(r.code == 1);
  CHECK(r.says("in stdout"));
}

TEST_CASE("3: bad or unsupported input, said with its file") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 600), wide = token_file(scratch, "wide.bin", 600, 500);
  write(scratch / "text.txt", "a text for a model that does not read bytes");
  write(scratch / "bad.jsonl", "{\"input_ids\": [1, 2\n");
  fs::create_directory(scratch / "broken");
  fs::copy(checkpoint(), scratch / "broken", fs::copy_options::recursive);
  write(scratch / "broken/model.safetensors", "not a checkpoint");
  fs::create_directory(scratch / "other");
  write(scratch / "other/config.json", "{\"model_type\": \"gpt_bigcode\"}");
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& said) {
    const Result r = run(arguments);
    CAPTURE(r.err);
    CHECK(r.code == 3);
    CHECK(r.out.empty());
    CHECK(r.says(said));
  };
  refused({"eval", scratch / "missing", "-d", data}, "missing");
  refused({"eval", scratch / "broken", "-d", data}, "model.safetensors");
  refused({"plan", scratch / "other"}, "gpt_bigcode");
  refused({"eval", checkpoint(), "-d", wide}, "vocabulary");
  refused({"eval", checkpoint(), "-d", scratch / "text.txt"}, "tokenize");
  refused({"eval", checkpoint(), "-d", scratch / "bad.jsonl"}, "bad.jsonl");
  refused({"eval", checkpoint(), "-d", data, "-a", scratch / "other"}, "adapter_config.json");
  refused({"train", checkpoint(), "-d", wide, "-o", scratch / "out"}, "vocabulary");
  refused({"info", scratch / "nothing.bin"}, "nothing.bin");
  CHECK_FALSE(fs::exists(scratch / "out"));
}

TEST_CASE("4: gradients that are not finite end the run, and what was good stays") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 2000);
  const Result r = run(
      {"train",        checkpoint(), "-d",   data,     "-o", scratch / "out", "--seq-len", "16",           "--steps",
       "60",           "--lr",       "1e30", "--clip", "0",  "--lr-schedule", "constant",  "--eval-every", "0",
       "--save-every", "1"});
  CAPTURE(r.err);
  CHECK(r.code == 4);
  CHECK(r.says("error: step "));
  CHECK(nlohmann::json::parse(read(scratch / "out/run.json")).at("status") == "failed");
}

TEST_CASE("5: a device that is not there is refused plainly, by a build with CUDA and by one without") {
  const bool built = run({"doctor", "--json"}).json().at("cuda") != "not built";
  const How hidden{.environment = {{"CUDA_VISIBLE_DEVICES", ""}}};  // where there is one, too
  const Result r = run({"eval", checkpoint(), "-d", "x.bin", "--device", "cuda"}, hidden);
  CAPTURE(r.err);
  CHECK(r.code == 5);
  CHECK(r.says(built ? "but there is no device" : "this build has no CUDA"));
}

TEST_CASE("an existing directory is refused before any work, and replaced only when it is a result") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 2000);
  fs::create_directory(scratch / "precious");
  write(scratch / "precious/thesis.tex", "years of work");
  for (const char* verb : {"train", "prune", "merge", "export"}) {
    std::vector<std::string> arguments{verb, checkpoint(), "-o", scratch / "precious"};
    if (verb[0] == 't' || verb[0] == 'p') arguments = arguments + std::vector<std::string>{"-d", data};
    if (verb[0] == 'm') arguments = arguments + std::vector<std::string>{"-a", checkpoint() + "/adapter"};
    const Result first = run(arguments), second = run(arguments + std::vector<std::string>{"--overwrite"});
    CAPTURE(first.err);
    CHECK(first.code == 2);
    CHECK(first.says("exists already"));
    CHECK(second.code == 2);
    CHECK(read(scratch / "precious/thesis.tex") == "years of work");
  }
  // What a run reads is not replaced by what it writes.
  fs::copy(checkpoint(), scratch / "model", fs::copy_options::recursive);
  const Result r = run({"export", scratch / "model", "-o", scratch / "model", "--overwrite"});
  CHECK(r.code == 2);
  CHECK(fs::exists(scratch / "model/model.safetensors"));
}

TEST_CASE("--dry-run checks everything and writes nothing") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 2000);
  const auto before = scratch.list();
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"train", checkpoint(), "-d", data, "-o", scratch / "out", "--seq-len", "16", "-n"},
           {"prune", checkpoint(), "-d", data, "-o", scratch / "out", "--seq-len", "16", "--dry-run", "--json"},
           {"merge", checkpoint(), "-a", checkpoint() + "/adapter", "-o", scratch / "out", "--dry-run"},
           {"export", checkpoint(), "-o", scratch / "out", "--dry-run"}}) {
    const Result r = run(arguments);
    CAPTURE(r.err);
    CHECK(r.code == 0);
    CHECK(scratch.list() == before);
  }
  CHECK(run({"train", checkpoint(), "-d", scratch / "no.bin", "-o", scratch / "out", "-n"}).code == 3);
}
