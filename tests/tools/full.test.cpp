// SPDX-License-Identifier: MIT
// --tuning full: every weight of the blocks learns, and what comes out is a whole model.
#include <doctest/doctest.h>

#include <algorithm>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::vector<std::string> in_full{"--tuning", "full", "--seq-len", "16", "--batch", "4", "--lr", "1e-3"};

double loss_of(const std::string& model, const std::string& data) {
  const Result r = run({"eval", model, "-d", data, "--seq-len", "16", "--batch", "4", "--runs", "1", "--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  return r.json().at("loss").get<double>();
}

/// The weights of the linear maps of the blocks of a Llama.
long weights_of_blocks(const std::string& model) {
  const auto c = nlohmann::json::parse(read(model + "/config.json"));
  const auto at = [&](const char* key) { return c.at(key).get<long>(); };
  const long heads = at("num_attention_heads"), head = c.contains("head_dim") ? at("head_dim") : at("hidden_size") / heads;
  return at("num_hidden_layers") * at("hidden_size") * (2 * heads * head + 2 * at("num_key_value_heads") * head + 3 * at("intermediate_size"));
}

}  // namespace

TEST_CASE("train in full writes a whole model, which is what was measured, and counts what learns among its parameters") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const Result r = run(std::vector<std::string>{"train", checkpoint(), "-d", data, "--val", val, "-o", scratch / "tuned", "--steps", "60", "--json"} + in_full);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto result = r.json();
  CHECK(result.at("after").at("loss").get<double>() < result.at("before").at("loss").get<double>() - 0.1);
  CHECK(result.at("trainable") == weights_of_blocks(checkpoint()));
  CHECK(result.at("before").at("parameters") == result.at("after").at("parameters"));
  CHECK(result.at("after").at("file_bytes") == fs::file_size(scratch / "tuned/model.safetensors"));
  CHECK_FALSE(fs::exists(scratch / "tuned/adapter_config.json"));
  CHECK(loss_of(scratch / "tuned", val) == result.at("after").at("loss").get<double>());

  std::string all = std::to_string(result.at("before").at("parameters").get<long>());
  for (int at = int(all.size()) - 3; at > 0; at -= 3) all.insert(std::size_t(at), ",");
  CHECK(r.says("all params: " + all + " ||"));
  CHECK(r.says("tuning"));
  CHECK_FALSE(r.says("rank"));
  CHECK_FALSE(r.says("alpha"));
  const auto settings = nlohmann::json::parse(read(scratch / "tuned/run.json")).at("settings");
  CHECK(settings.at("tuning") == "full");
  for (const char* key : {"rank", "alpha", "dropout", "rslora", "init"}) CHECK_FALSE(settings.contains(key));
  CHECK(read(scratch / "tuned/report.html").find("in full, every weight of the linear maps of the blocks") != std::string::npos);

  const Result small = run(std::vector<std::string>{"train", checkpoint("llama-bf16"), "-d", data, "-o", scratch / "small", "--steps", "2", "--weights", "fp32", "--json"} + in_full);
  CAPTURE(small.err);
  REQUIRE(small.code == 0);
  CHECK(small.json().at("after").at("file_bytes") == fs::file_size(checkpoint("llama-bf16") + "/model.safetensors"));
  const Result some = run(std::vector<std::string>{"train", checkpoint("gpt2"), "-d", data, "-o", scratch / "some", "--steps", "2", "--targets", "c_fc", "--json"} + in_full);
  CAPTURE(some.err);
  REQUIRE(some.code == 0);
  CHECK(some.json().at("trainable").get<long>() < some.json().at("before").at("parameters").get<long>() / 2);
}

TEST_CASE("prune in full leaves what was asked for, and a run that was interrupted ends in the same bits") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 6000), val = token_file(scratch, "v.bin", 900, 48, 2);
  const auto arguments = [&](const std::string& out) {
    return std::vector<std::string>{"prune", checkpoint(), "-d", data, "--val", val, "-o", out, "--steps", "300", "--sparsity", "0.5", "--criterion", "movement",
                                    "--log-every", "10", "--json"} + in_full;
  };
  const Result whole = run(arguments(scratch / "whole"));
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(whole.json().at("pruning").at("reached").get<double>() == doctest::Approx(0.5));
  CHECK(whole.json().at("stretches").size() > 3);  // units left while it went on
  CHECK(loss_of(scratch / "whole", val) == whole.json().at("pruned").at("loss").get<double>());
  REQUIRE(run({"export", scratch / "whole", "-o", scratch / "padded", "--layout", "padded"}).code == 0);
  CHECK(loss_of(scratch / "padded", val) == doctest::Approx(loss_of(scratch / "whole", val)).epsilon(1e-6));

  const Result stopped = run(arguments(scratch / "cut"), {{}, {}, "step 120/"});  // units have left by then
  CAPTURE(stopped.err);
  REQUIRE(stopped.code == 130);
  const Result other = run({"prune", "--resume", scratch / "cut", "--tuning", "adapters"});  // refused, and nothing is lost by it
  CHECK(other.code == 2);
  CHECK(other.says("another value of identity"));
  const Result resumed = run({"prune", "--resume", scratch / "cut"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(read(scratch / "cut/model.safetensors") == read(scratch / "whole/model.safetensors"));
}

TEST_CASE("every criterion but lora chooses while weights learn in full, also single weights") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  int number = 0;
  const auto prune = [&](const std::string& criterion, const std::string& granularity) {
    const Result r = run(std::vector<std::string>{"prune", checkpoint("llama-mha"), "-d", data, "-o", scratch / std::to_string(++number), "--steps", "12",
                                                  "--prune-every", "3", "--criterion", criterion, "--granularity", granularity, "--json"} + in_full);
    CAPTURE(criterion);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    CHECK(r.json().at("pruning").at("reached").get<double>() == doctest::Approx(0.5));
  };
  for (const char* criterion : {"full", "signed", "movement", "wanda", "obs", "magnitude", "random"}) prune(criterion, "groups");
  for (const char* criterion : {"full", "movement", "sparsegpt"}) prune(criterion, "2:4");
}

TEST_CASE("compare in full leaves lora out, says what learnt, and goes on with nothing else") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000), val = token_file(scratch, "v.bin", 500, 48, 2);
  const std::vector<std::string> how = std::vector<std::string>{"--sparsities", "0.5", "--seeds", "1", "--steps", "20", "--prune-every", "4"} +
                                       in_full + std::vector<std::string>{"--runs", "1"};
  const Result r = run(std::vector<std::string>{"compare", checkpoint(), "-d", data, "--val", val, "-o", scratch / "c", "--criteria", "full,magnitude"} + how);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.prints("(dense, tuned in full)"));
  CHECK(r.says("Every arm is fine-tuned in full, every weight of the linear maps of the blocks, for 20 steps"));
  const std::string trials = read(scratch / "c/trials.jsonl");
  CHECK(std::count(trials.begin(), trials.end(), '\n') == 3);
  CHECK(read(scratch / "c/report.html").find("in full, every weight") != std::string::npos);
  const Result other = run({"compare", "--resume", scratch / "c", "--tuning", "adapters"});
  CAPTURE(other.err);
  CHECK(other.code == 2);
  CHECK(other.says("made with tuning \"full\", not \"adapters\""));
  const Result more = run({"compare", "--resume", scratch / "c", "--criteria", "full,magnitude,random", "--json"});
  CAPTURE(more.err);
  REQUIRE(more.code == 0);
  CHECK(more.json().at("rows").size() == 4);

  // An arm is the run that prune would have made, bit for bit.
  const Result zero = run(std::vector<std::string>{"compare", checkpoint(), "-d", data, "--val", val, "-o", scratch / "zero", "--criteria", "full", "--warmup", "0", "--json"} + how);
  const Result one = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "--val", val, "-o", scratch / "one", "--criterion", "full", "--warmup", "0", "--sparsity",
                                                  "0.5", "--steps", "20", "--prune-every", "4", "--json"} + in_full);
  CAPTURE(zero.err);
  CAPTURE(one.err);
  REQUIRE(zero.code == 0);
  REQUIRE(one.code == 0);
  CHECK(zero.json().at("rows").at(1).at("loss").at("mean") == one.json().at("pruned").at("loss"));
  const Result all = run(std::vector<std::string>{"compare", checkpoint(), "-d", data, "-o", scratch / "all", "-n", "--json"} + how);
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  CHECK(all.json().at("arms") == 1 + 8);  // signed knows groups, sparsegpt does not
}

TEST_CASE("what full fine-tuning has not is refused by name, before anything is written") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const auto refused = [&](std::vector<std::string> arguments, int code, const std::string& said, const std::string& hint) {
    const Result r = run(arguments + std::vector<std::string>{"-d", data, "-o", scratch / "out", "--tuning", "full", "--seq-len", "16"});
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(r.says(said));
    CHECK(r.says("hint: " + hint));
    CHECK_FALSE(fs::exists(scratch / "out"));
  };
  refused({"prune", checkpoint()}, 2, "--criterion lora, the default, reads the gradients of low-rank adapters", "--criterion full");
  refused({"prune", checkpoint(), "--criterion", "lora", "--granularity", "2:4"}, 2, "--criterion lora reads the gradients", "--criterion full");
  refused({"compare", checkpoint(), "--criteria", "full,lora"}, 2, "--criterion lora reads the gradients", "--criterion full");
  for (const auto& [option, value] : {std::pair{"--rank", "4"}, {"--alpha", "4"}, {"--dropout", "0.1"}, {"--init", "gaussian"}})
    refused({"train", checkpoint(), option, value}, 2, option + std::string(" says nothing to weights that learn in full"), "it belongs to --tuning adapters");
  refused({"train", checkpoint(), "--rslora"}, 2, "--rslora says nothing", "it belongs to");
  refused({"train", checkpoint(), "-a", checkpoint() + "/adapter"}, 2, "--adapter starts from a low-rank adapter", "espalier merge");
  for (const char* verb : {"train", "compare"})
    refused({verb, checkpoint(), "--weights", "bf16"}, 3, "--tuning full holds weights in fp32", "give it --weights fp32");
  refused({"prune", checkpoint("llama-bf16"), "--criterion", "full"}, 3, "--tuning full holds weights in fp32", "give it --weights fp32");
  refused({"train", checkpoint("bert-classes")}, 3, "encoders learn by adapters", "leave it away");
  refused({"train", checkpoint(), "--targets", "nothing"}, 2, "no linear map of the model is named by --targets", "e.g. q_proj");
  CHECK(run({"eval", checkpoint(), "-d", data, "--tuning", "full"}).says("not an option of eval"));
}

TEST_CASE("what --print-config says can be run, for either kind of tuning") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--tuning", "full", "--criterion", "movement"}, {"--criterion", "lora"}}) {
    const Result first = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", scratch / "out", "--seq-len", "16", "-n", "--print-config"} + how);
    write(scratch / "c.toml", first.out);
    const Result second = run({"prune", checkpoint(), "-c", scratch / "c.toml", "-n", "--json"});
    CAPTURE(second.err);
    CHECK(second.code == 0);
    CHECK(second.json().at("settings").at("tuning") == (how[0] == "--tuning" ? "full" : "adapters"));
  }
}
