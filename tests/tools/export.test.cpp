// SPDX-License-Identifier: MIT
// Layouts and formats, as a person asks for them.
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

TEST_CASE("layers that differ: pruned to layout compact, read again, and written for llama.cpp") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 2000), small = scratch / "small";
  const Result pruned = run({"prune", checkpoint("llama-mha"), "-d", data, "-o", small, "--steps", "6", "--prune-every", "2",
                             "--criterion", "magnitude", "--ranking", "global", "--seq-len", "16", "--layout", "compact", "--json"});
  CAPTURE(pruned.err);
  REQUIRE(pruned.code == 0);
  CHECK(pruned.json().at("layout") == "compact");
  CHECK(pruned.says("trust_remote_code=True"));
  CHECK(fs::exists(small + "/modeling_espalier.py"));
  const Result told = run({"info", small, "--json"});
  CHECK(told.json().at("layer_widths").size() == 2);
  CHECK(told.json().at("parameters") == pruned.json().at("pruned").at("parameters"));
  CHECK(run({"info", small}).prints("espalier_llama"));

  const Result file = run({"export", small, "-o", scratch / "small.gguf", "--format", "gguf", "--dtype", "fp16", "--json"});
  CAPTURE(file.err);
  REQUIRE(file.code == 0);
  CHECK(file.json().at("model_type") == "deci");
  CHECK(file.json().at("layout") == "compact");
  CHECK(file.json().at("parameters") == told.json().at("parameters"));
  CHECK(file.json().at("file_bytes") == fs::file_size(scratch / "small.gguf"));
  CHECK(file.says("no tokenizer.json"));
  CHECK(read(scratch / "small.gguf").starts_with("GGUF"));
  const Result padded = run({"export", small, "-o", scratch / "padded.gguf", "--format", "gguf", "--layout", "padded"});
  CHECK(padded.code == 0);
  CHECK(padded.prints("GGUF, architecture llama, layout padded"));
  REQUIRE(run({"export", small, "-o", scratch / "stock"}).code == 0);
  CHECK(run({"info", scratch / "stock", "--json"}).json().at("kind") == "model");
  CHECK_FALSE(fs::exists(scratch / "stock/modeling_espalier.py"));
}

TEST_CASE("what cannot be written says why and what to do, and leaves nothing behind") {
  const Scratch scratch;
  const std::string out = scratch / "x.gguf";
  const auto refused = [&](std::vector<std::string> arguments, int code, const std::string& words) {
    const Result r = run(std::move(arguments));
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(r.says(words));
  };
  refused({"export", checkpoint(), "--format", "gguf"}, 2, "-o FILE is missing");
  refused({"export", checkpoint(), "-o", out, "--format", "ggml"}, 2, "gguf");
  fs::create_directory(scratch / "folder");
  refused({"export", checkpoint(), "-o", scratch / "folder", "--format", "gguf"}, 2, "a GGUF is one file");
  write(scratch / "letter.txt", "Dear reader");
  refused({"export", checkpoint(), "-o", scratch / "letter.txt", "--format", "gguf"}, 2, "exists already");
  refused({"export", checkpoint(), "-o", scratch / "letter.txt", "--format", "gguf", "--overwrite"}, 2, "no GGUF file");
  CHECK(read(scratch / "letter.txt") == "Dear reader");

  fs::copy(checkpoint(), scratch / "model", fs::copy_options::recursive);
  write(scratch / "model/tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  refused({"export", scratch / "model", "-o", out, "--format", "gguf"}, 3, "a tokenizer of type 'Unigram' is not written to GGUF");
  CHECK_FALSE(fs::exists(out));
}
