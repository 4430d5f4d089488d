// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

const std::string examples = std::string(ESPALIER_TEST_DATA) + "/examples";

/// A copy of a small checkpoint with the tokenizer of its 40 words.
std::string encoder(const Scratch& scratch, const std::string& name) {
  const std::string directory = scratch / name;
  fs::copy(checkpoint(name), directory, fs::copy_options::recursive);
  fs::copy(examples + "/tokenizer.json", directory + "/tokenizer.json");
  return directory;
}
/// The same without what one head says of labels, and without the head: as a model that is to be tuned.
void change_config(const std::string& directory, const char* architecture) {
  auto config = nlohmann::json::parse(read(directory + "/config.json"));
  for (const char* key : {"id2label", "label2id", "num_labels", "problem_type"}) config.erase(key);
  config["architectures"] = {architecture};
  write(directory + "/config.json", config.dump());
}
/// What a file of weights holds, from its own header; for one token the maps of its blocks are multiplied with.
struct Held {
  double parameters = 0, bytes = 0, macs = 0;
};
Held held(const std::string& directory) {
  const std::string file = read(directory + "/model.safetensors");
  std::uint64_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header << 8 | std::uint64_t(std::uint8_t(file[i]));
  Held h;
  const auto tensors = nlohmann::json::parse(file.substr(8, header));
  for (const auto& [name, tensor] : tensors.items()) {
    if (name == "__metadata__") continue;
    double numbers = 1;
    for (const auto& extent : tensor.at("shape")) numbers *= extent.get<double>();
    h.parameters += numbers, h.bytes += tensor.at("data_offsets").at(1).get<double>() - tensor.at("data_offsets").at(0).get<double>();
    if (name.find(".layer.") != std::string::npos && tensor.at("shape").size() == 2) h.macs += numbers;
  }
  return h;
}
const std::vector<std::string> quick{"--batch", "4", "--runs", "1", "--json"};

}  // namespace

TEST_CASE("eval says of pairs what transformers says of them") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const Result r = run(std::vector<std::string>{"eval", model, "-a", model + "/adapter", "-d", examples + "/pairs.jsonl"} + quick);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto before = nlohmann::json::parse(read(examples + "/course.json"))["bert-classes"]["before"];
  CHECK(r.json().at("loss").get<double>() == doctest::Approx(before["loss"].get<double>()).epsilon(1e-5));
  CHECK(r.json().at("accuracy").get<double>() == doctest::Approx(before["accuracy"].get<double>()));
  CHECK(r.json().at("labels") == 24);
  CHECK(r.json().contains("f1"));
  CHECK(r.json().contains("matthews"));
  CHECK_FALSE(r.json().contains("perplexity"));
  const Result some = run(std::vector<std::string>{"eval", model, "-d", examples + "/pairs.jsonl", "--seq-len", "10", "--val-tokens", "50"} + quick);
  CAPTURE(some.err);
  REQUIRE(some.code == 0);
  CHECK(some.json().at("labels") == 5);
  CHECK(some.says("of 24 examples in"));

  const std::string scores = encoder(scratch, "bert-regression");
  const Result regression = run(std::vector<std::string>{"eval", scores, "-a", scores + "/adapter", "-d", examples + "/scores.jsonl"} + quick);
  const auto wanted = nlohmann::json::parse(read(examples + "/course.json"))["bert-regression"]["before"];
  REQUIRE(regression.code == 0);
  CHECK(regression.json().at("pearson").get<double>() == doctest::Approx(wanted["pearson"].get<double>()).epsilon(1e-4));
}

TEST_CASE("prune fine-tunes a BERT on pairs and writes what eval and info read; a run goes on after an interrupt to the same file") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const auto how = [&](const std::string& val) {
    return std::vector<std::string>{"prune", model, "-d", examples + "/pairs.jsonl", "--val", val, "--steps", "40",
                                    "--lr", "1e-2", "--sparsity", "0.3", "--eval-every", "20"};
  };
  const Result r = run(how(examples + "/pairs.jsonl") + quick + std::vector<std::string>{"-o", scratch / "out"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto out = r.json();
  CHECK(out.at("pruned").at("loss").get<double>() < out.at("dense").at("loss").get<double>());
  CHECK(out.at("pruned").contains("accuracy"));
  CHECK(out.at("pruning").at("reached").get<double>() == doctest::Approx(0.3).epsilon(0.2));
  CHECK(r.says("accuracy"));
  CHECK(read(scratch / "out/report.html").find("Accuracy") != std::string::npos);
  CHECK(read(scratch / "out/tokenizer.json") == read(model + "/tokenizer.json"));

  const Result eval = run(std::vector<std::string>{"eval", scratch / "out", "-d", examples + "/pairs.jsonl"} + quick);
  REQUIRE(eval.code == 0);
  CHECK(eval.json().at("loss").get<double>() == doctest::Approx(out.at("pruned").at("loss").get<double>()).epsilon(1e-6));
  const Result info = run({"info", scratch / "out", "--json"});
  CHECK(info.json().at("task") == "classification with 3 labels");

  std::string long_val;  // so that there is time to be interrupted in
  for (int i = 0; i < 25; ++i) long_val += read(examples + "/pairs.jsonl");
  write(scratch / "long.jsonl", long_val);
  const Result stopped = run(how(scratch / "long.jsonl") + std::vector<std::string>{"--batch", "4", "--runs", "1", "-o", scratch / "again", "--save-every", "10"},
                             {.interrupt_after = "step 20/40"});
  CAPTURE(stopped.err);
  REQUIRE(stopped.code == 130);
  CHECK(stopped.says("interrupted after step"));
  const Result on = run({"prune", "--resume", scratch / "again", "--quiet"});
  CAPTURE(on.err);
  REQUIRE(on.code == 0);
  CHECK(read(scratch / "again/model.safetensors") == read(scratch / "out/model.safetensors"));
}

TEST_CASE("train gives a model a new head for the labels that the data have, by number or by name") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "roberta-masked"), data = scratch / "numbered.jsonl";
  change_config(model, "RobertaModel");
  std::string numbered;
  for (int i = 0; i < 21; ++i) numbered += "{\"text\": \"" + std::string(i % 3 == 0 ? "tree falls" : i % 3 == 1 ? "rain" : "old snow") + "\", \"label\": " + std::to_string(i % 3) + "}\n";
  write(data, numbered);
  const Result open = run({"train", model, "-d", data, "-o", scratch / "open"});
  CHECK(open.code == 2);
  CHECK(open.says("config.json says RobertaModel, which is no task"));
  CHECK(open.says("--task classification, regression or masked-lm"));

  const Result r = run({"train", model, "-d", data, "--task", "classification", "-o", scratch / "adapter", "--steps", "4", "--batch", "4", "--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto config = nlohmann::json::parse(read(scratch / "adapter/adapter_config.json"));
  CHECK(config.at("modules_to_save") == nlohmann::json::array({"classifier"}));
  const Result eval = run(std::vector<std::string>{"eval", model, "-a", scratch / "adapter", "--task", "classification", "-d", data} + quick);
  CAPTURE(eval.err);
  REQUIRE(eval.code == 0);
  CHECK(eval.json().contains("accuracy"));
  const Result merged = run({"merge", model, "-a", scratch / "adapter", "--task", "classification", "-o", scratch / "merged"});
  CAPTURE(merged.err);
  REQUIRE(merged.code == 0);
  const Result again = run(std::vector<std::string>{"eval", scratch / "merged", "-d", data} + quick);
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(again.json().at("loss").get<double>() == doctest::Approx(eval.json().at("loss").get<double>()).epsilon(1e-5));

  std::string named;
  for (int i = 0; i < 20; ++i) named += i % 2 == 0 ? "{\"text\": \"tree falls\", \"label\": \"wood\"}\n" : "{\"text\": \"rain\", \"label\": \"sky\"}\n";
  write(scratch / "named.jsonl", named);
  const std::vector<std::string> on_names{"-d", scratch / "named.jsonl"};
  const Result tuned = run(std::vector<std::string>{"train", model, "--task", "classification", "-o", scratch / "words", "--steps", "30", "--batch", "4",
                                                    "--lr", "1e-2", "--quiet"} + on_names);
  CAPTURE(tuned.err);
  REQUIRE(tuned.code == 0);
  // An adapter alone knows the names, and what it is for: nobody has to say --task again.
  const Result with = run(std::vector<std::string>{"eval", model, "-a", scratch / "words"} + on_names + quick);
  CAPTURE(with.err);
  REQUIRE(with.code == 0);
  CHECK(with.json().at("accuracy") == 1.0);
  CHECK(run(std::vector<std::string>{"eval", model, "-a", scratch / "words", "--task", "regression"} + on_names).says("the adapter has learnt classification with 2"));
  CHECK(run({"info", scratch / "words", "--json"}).json().at("labels") == nlohmann::json::array({"sky", "wood"}));
  const Result both = run({"merge", model, "-a", scratch / "words", "-o", scratch / "both", "--quiet"});
  CAPTURE(both.err);
  REQUIRE(both.code == 0);
  CHECK(run({"export", model, "-a", scratch / "words", "-o", scratch / "exported", "--quiet"}).code == 0);
  for (const char* out : {"both", "exported"}) {
    CHECK(nlohmann::json::parse(read((scratch / out) + "/config.json")).at("label2id") == nlohmann::json{{"sky", 0}, {"wood", 1}});
    const Result e = run(std::vector<std::string>{"eval", scratch / out} + on_names + quick);
    CAPTURE(e.err);
    REQUIRE(e.code == 0);
    CHECK(e.json().at("accuracy") == 1.0);
  }
  const Result on = run(std::vector<std::string>{"train", model, "-a", scratch / "words", "-o", scratch / "more", "--steps", "2", "--batch", "4", "--quiet"} + on_names);
  CAPTURE(on.err);
  CHECK(on.code == 0);

  const Result prune = run({"prune", model, "-d", scratch / "named.jsonl", "--task", "classification", "-o", scratch / "pruned", "--steps", "30", "--batch", "4",
                            "--lr", "1e-2", "--sparsity", "0.2", "--runs", "1", "--quiet"});
  CAPTURE(prune.err);
  REQUIRE(prune.code == 0);
  const auto labels = nlohmann::json::parse(read(scratch / "pruned/config.json")).at("label2id");
  CHECK(labels == nlohmann::json{{"sky", 0}, {"wood", 1}});
  const Result told = run(std::vector<std::string>{"eval", scratch / "pruned", "-d", scratch / "named.jsonl"} + quick);
  REQUIRE(told.code == 0);
  CHECK(told.json().at("accuracy") == 1.0);
}

TEST_CASE("a BERT of hidden tokens, a DeBERTa and a ViT are tuned and pruned as well, and export pads them") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-masked");
  const Result r = run(std::vector<std::string>{"prune", model, "-d", examples + "/text.txt", "-o", scratch / "masked", "--steps", "10", "--seq-len", "16"} + quick);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(r.json().at("pruned").contains("perplexity"));

  const std::string deberta = encoder(scratch, "deberta-classes");
  const Result tuned = run({"train", deberta, "-d", examples + "/pairs.jsonl", "--val", examples + "/pairs.jsonl", "-o", scratch / "tuned",
                                                    "--steps", "6", "--lr", "1e-2", "--batch", "4", "--json"});
  CAPTURE(tuned.err);
  REQUIRE(tuned.code == 0);
  CHECK(nlohmann::json::parse(read(scratch / "tuned/adapter_config.json")).at("modules_to_save") == nlohmann::json::array({"pooler", "classifier"}));
  REQUIRE(run({"merge", deberta, "-a", scratch / "tuned", "-o", scratch / "merged", "--quiet"}).code == 0);
  const Result merged = run(std::vector<std::string>{"eval", scratch / "merged", "-d", examples + "/pairs.jsonl"} + quick);
  CAPTURE(merged.err);
  REQUIRE(merged.code == 0);
  CHECK(merged.json().at("loss").get<double>() == doctest::Approx(tuned.json().at("after").at("loss").get<double>()).epsilon(1e-5));
  const Result relative = run(std::vector<std::string>{"prune", deberta, "-d", examples + "/pairs.jsonl", "-o", scratch / "relative", "--steps", "10",
                                                       "--seq-len", "16", "--sparsity", "0.3"} + quick);
  CAPTURE(relative.err);
  REQUIRE(relative.code == 0);
  CHECK(relative.json().at("pruned").contains("accuracy"));
  CHECK(relative.json().at("pruned").at("parameters") < relative.json().at("dense").at("parameters"));
  REQUIRE(run({"export", scratch / "relative", "-o", scratch / "wide", "--layout", "padded", "--quiet"}).code == 0);
  const auto loss = [&](const std::string& name) {
    const Result e = run(std::vector<std::string>{"eval", scratch / name, "-d", examples + "/pairs.jsonl", "--seq-len", "16"} + quick);
    CAPTURE(e.err);
    REQUIRE(e.code == 0);
    return e.json().at("loss").get<double>();
  };
  CHECK(loss("wide") == doctest::Approx(loss("relative")).epsilon(1e-6));
  CHECK(run({"plan", deberta, "--json"}).code == 0);

  const std::string vit = scratch / "vit";
  fs::copy(checkpoint("vit"), vit, fs::copy_options::recursive);
  fs::copy(examples + "/preprocessor_config.json", vit + "/preprocessor_config.json");
  const Result images = run(std::vector<std::string>{"prune", vit, "-d", examples + "/images.npy", "--val", examples + "/images.npy", "-o", scratch / "images",
                                                     "--steps", "30", "--lr", "1e-2", "--sparsity", "0.3"} + quick);
  CAPTURE(images.err);
  REQUIRE(images.code == 0);
  CHECK(images.json().at("pruned").at("labels") == 12);
  CHECK(images.json().at("pruned").at("loss").get<double>() < images.json().at("dense").at("loss").get<double>());
  const Result exported = run({"export", scratch / "images", "-o", scratch / "padded", "--layout", "padded", "--json"});
  CAPTURE(exported.err);
  REQUIRE(exported.code == 0);
  CHECK(run({"export", scratch / "images", "-o", scratch / "x.gguf", "--format", "gguf"}).says("an encoder goes out as a directory"));
  const Result planned = run({"plan", vit, "--json"});
  CAPTURE(planned.err);
  CHECK(planned.code == 0);
}

TEST_CASE("criteria are compared by the metric of a task, the best first; an arm is the run that prune would have made") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const std::vector<std::string> how{"-d", examples + "/pairs.jsonl", "--val", examples + "/pairs.jsonl", "--steps", "12", "--lr", "1e-2", "--seed", "4"};
  const Result r = run(std::vector<std::string>{"compare", model, "-o", scratch / "c", "--criteria", "random,magnitude,lora", "--sparsities", "0.2,0.6",
                                                "--seeds", "1", "--warmup", "0"} + how + quick);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto out = r.json();
  CHECK(out.at("metric") == nlohmann::json{{"name", "accuracy"}, {"higher_is_better", true}});
  REQUIRE(out.at("rows").size() == 7);
  double best = 2, sparsity = -1, worst = 2;
  for (const auto& row : out.at("rows")) {
    CHECK_FALSE(row.contains("perplexity"));
    CHECK(row.at("matthews").at("n") == 1);
    const double accuracy = row.at("accuracy").at("mean");
    if (row.at("sparsity") != sparsity) sparsity = row.at("sparsity"), best = 2;
    CHECK(accuracy <= best);
    best = accuracy, worst = std::min(worst, accuracy);
  }
  CHECK(worst < out.at("rows").at(4).at("accuracy").at("mean").get<double>());  // the order says something
  CHECK(r.says("Metrics: over 24 labels"));
  CHECK(read(scratch / "c/report.html").find("Held-out accuracy") != std::string::npos);

  const Result one = run(std::vector<std::string>{"prune", model, "-o", scratch / "one", "--criterion", "magnitude", "--sparsity", "0.6", "--warmup", "0"} + how + quick);
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  bool met = false;
  for (const auto& row : out.at("rows"))
    if (row.at("criterion") == "magnitude" && row.at("sparsity") == 0.6) {
      met = true;
      CHECK(row.at("accuracy").at("mean") == one.json().at("pruned").at("accuracy"));
      CHECK(row.at("loss").at("mean") == one.json().at("pruned").at("loss"));
    }
  CHECK(met);
  const Result more = run({"compare", "--resume", scratch / "c", "--criteria", "lora,full,magnitude,random", "--sparsities", "0.2", "--json"});
  CAPTURE(more.err);
  REQUIRE(more.code == 0);
  CHECK(more.json().at("rows").size() == 8);

  // Images, a new head, and hidden tokens.
  const Result images = run(std::vector<std::string>{"compare", checkpoint("vit"), "-d", examples + "/images.npy", "--val", examples + "/images.npy", "-o", scratch / "images",
                                                     "--criteria", "lora", "--sparsities", "0.4", "--seeds", "2", "--epochs", "2"} + quick);
  CAPTURE(images.err);
  REQUIRE(images.code == 0);
  CHECK(images.says("6 steps each"));  // 12 images, four at a time, twice
  CHECK(images.json().at("rows").at(0).at("accuracy").at("n") == 2);
  const std::string fresh = encoder(scratch, "roberta-masked");
  change_config(fresh, "RobertaModel");
  const Result scores = run(std::vector<std::string>{"compare", fresh, "-d", examples + "/scores.jsonl", "--task", "regression", "-o", scratch / "scores",
                                                     "--criteria", "random", "--sparsities", "0.3", "--seeds", "1", "--steps", "3"} + quick);
  CAPTURE(scores.err);
  REQUIRE(scores.code == 0);
  CHECK(scores.json().at("metric").at("name") == "pearson");
  const Result hidden = run(std::vector<std::string>{"compare", encoder(scratch, "bert-masked"), "-d", examples + "/text.txt", "-o", scratch / "hidden", "--seq-len", "16",
                                                     "--criteria", "random", "--sparsities", "0.3", "--seeds", "1", "--steps", "3"} + quick);
  CAPTURE(hidden.err);
  REQUIRE(hidden.code == 0);
  CHECK(hidden.json().at("metric") == nlohmann::json{{"name", "perplexity"}, {"higher_is_better", false}});
}

TEST_CASE("targets count an encoder with its head as its file holds it, and a token's work without what is done once for a sequence") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const Held dense = held(model);
  for (const auto& [option, member] : {std::pair<std::string, double Held::*>{"--target-parameters", &Held::parameters},
                                       {"--target-bytes", &Held::bytes}, {"--target-macs", &Held::macs}}) {
    const std::string name = option, out = scratch / name.substr(2);
    CAPTURE(name);
    const double target = std::floor(0.85 * (dense.*member));
    const std::vector<std::string> asked{option, std::to_string(std::int64_t(target))};
    const Result r = run(std::vector<std::string>{"prune", model, "-d", examples + "/pairs.jsonl", "-o", out, "--steps", "4", "--criterion", "magnitude"} + asked + quick);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto budget = r.json().at("pruning").at("budget");
    CHECK(budget.at("dense") == dense.*member);
    CHECK(budget.at("left") == held(out).*member);
    CHECK(std::abs(held(out).*member - target) <= budget.at("step").get<double>());
    CHECK(r.json().at("pruned").at("parameters") == held(out).parameters);
    CHECK(r.json().at("pruned").at("macs_per_token") == held(out).macs);
    const Result planned = run(std::vector<std::string>{"plan", model, "--json"} + asked);
    REQUIRE(planned.code == 0);
    CHECK(planned.json().at("outcomes").at(0).at("budget") == budget);
  }
  // The line that PEFT 0.21 prints of this model with these adapters and its head.
  CHECK(run({"train", model, "-d", examples + "/pairs.jsonl", "-o", scratch / "none", "--dry-run"})
            .says("trainable params: 2,791 || all params: 6,074 || trainable%: 45.9500"));
  // Three heads of width 4 in each of two layers; every token sees all ten.
  const Result seen = run({"plan", model, "--target-macs", std::to_string(std::int64_t(0.9 * dense.macs)), "--macs-at", "10", "--json"});
  CAPTURE(seen.err);
  REQUIRE(seen.code == 0);
  CHECK(seen.json().at("outcomes").at(0).at("budget").at("dense") == dense.macs + 2 * 10 * 12 * 2);
}

TEST_CASE("what does not fit an encoder is refused with what to do") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const auto refused = [&](std::vector<std::string> arguments, int code, const char* words) {
    const Result r = run(arguments);
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(r.says(words));
  };
  refused({"eval", model, "-d", examples + "/text.txt"}, 2, "this model reads .jsonl");
  refused({"eval", model, "-d", scratch / "nowhere.jsonl"}, 3, "nowhere.jsonl");
  refused({"eval", checkpoint("vit"), "-d", examples + "/pairs.jsonl"}, 2, "images are read from .npy");
  refused({"eval", model, "-d", examples + "/scores.jsonl"}, 3, "scores.jsonl:1: 'label'");
  refused({"compare", model, "-d", examples + "/text.txt", "-o", scratch / "c"}, 2, "this model reads .jsonl");
  refused({"eval", model, "-d", examples + "/pairs.jsonl", "--weights", "bf16"}, 3, "encoders are held in fp32");
  refused({"eval", checkpoint(), "-d", token_file(scratch, "x.bin", 100), "--task", "regression"}, 2, "it is for encoders");
  fs::remove(model + "/tokenizer.json");
  refused({"eval", model, "-d", examples + "/pairs.jsonl"}, 3, "no tokenizer.json and no vocab.txt in this directory\n  hint: transformers makes");
  write(model + "/spm.model", "");
  refused({"eval", model, "-d", examples + "/pairs.jsonl"}, 3, "in this directory, but spm.model");

  // Texts are cut to the positions that a model has.
  const Result cut = run(std::vector<std::string>{"eval", encoder(scratch, "deberta-apart"), "-d", examples + "/scores.jsonl"} + quick);
  CAPTURE(cut.err);
  CHECK(cut.code == 0);
  CHECK(cut.says("of 24 examples in"));
}

TEST_CASE("a task that the head in the files is not for is refused, and --new-head draws one for the labels of the data") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-classes");
  const auto refused = [&](std::vector<std::string> arguments, int code, const std::vector<const char*>& words) {
    const Result r = run(arguments);
    CAPTURE(r.err);
    CHECK(r.code == code);
    for (const char* w : words) {
      CAPTURE(w);
      CHECK(r.says(w));
    }
  };
  const std::vector<const char*> not_for{"--task regression: the head in these files is for classification with 3 labels", "--new-head"};
  refused({"train", model, "-d", examples + "/scores.jsonl", "--task", "regression", "-o", scratch / "no"}, 2, not_for);
  refused({"info", model, "--task", "regression"}, 2, not_for);
  refused({"plan", model, "--task", "regression"}, 2, not_for);
  refused({"train", encoder(scratch, "bert-regression"), "-d", examples + "/pairs.jsonl", "--task", "classification", "-o", scratch / "no"}, 2,
          {"--task classification: the head in these files is for regression with 1 label"});

  std::string named;
  for (int i = 0; i < 20; ++i) named += i % 2 == 0 ? "{\"text\": \"tree falls\", \"label\": \"wood\"}\n" : "{\"text\": \"rain\", \"label\": \"sky\"}\n";
  write(scratch / "named.jsonl", named);
  const std::vector<std::string> on_names{"-d", scratch / "named.jsonl"};
  refused(std::vector<std::string>{"train", model, "-o", scratch / "no"} + on_names, 3, {"label 'wood' is none of label2id", "--new-head"});
  refused({"train", checkpoint(), "-d", token_file(scratch, "x.bin", 100), "--new-head", "-o", scratch / "no"}, 2, {"--new-head says nothing to a model of language"});

  const Result r = run(std::vector<std::string>{"train", model, "--new-head", "-o", scratch / "words", "--steps", "30", "--batch", "4", "--lr", "1e-2", "--quiet"} + on_names);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  // The adapter says what it is for: the head of the files makes room for its own.
  const Result with = run(std::vector<std::string>{"eval", model, "-a", scratch / "words"} + on_names + quick);
  CAPTURE(with.err);
  REQUIRE(with.code == 0);
  CHECK(with.json().at("accuracy") == 1.0);
  REQUIRE(run({"merge", model, "-a", scratch / "words", "-o", scratch / "merged", "--quiet"}).code == 0);
  CHECK(nlohmann::json::parse(read(scratch / "merged/config.json")).at("label2id") == nlohmann::json{{"sky", 0}, {"wood", 1}});
  refused(std::vector<std::string>{"train", model, "--new-head", "-a", scratch / "words", "-o", scratch / "no"} + on_names, 2, {"the adapter brings one"});

  const Result scores = run(std::vector<std::string>{"prune", model, "--new-head", "--task", "regression", "-d", examples + "/scores.jsonl", "-o", scratch / "scores",
                                                     "--steps", "4", "--sparsity", "0.2"} + quick);
  CAPTURE(scores.err);
  REQUIRE(scores.code == 0);
  CHECK(run({"info", scratch / "scores", "--json"}).json().at("task") == "regression with 1 label");

  const std::string images = scratch / "x.npy";  // one image of another class
  fs::copy(examples + "/images.npy", images);
  std::string labels = read(examples + "/images.labels.npy");
  const std::size_t width = (labels.size() - 128) / 12;
  labels[labels.size() - width] = 4;
  write(scratch / "x.labels.npy", labels);
  refused({"train", checkpoint("vit"), "-d", images, "-o", scratch / "no"}, 3, {"label 4 is none of the 3 classes", "--new-head"});
  const Result vit = run(std::vector<std::string>{"prune", checkpoint("vit"), "--new-head", "-d", images, "--val", images, "-o", scratch / "vit", "--steps", "4"} + quick);
  CAPTURE(vit.err);
  REQUIRE(vit.code == 0);
  CHECK(nlohmann::json::parse(read(scratch / "vit/config.json")).at("id2label").size() == 5);
}

TEST_CASE("labels are not passed over unnoticed, and a BERT of hidden tokens, without a pooler, learns a task") {
  const Scratch scratch;
  const std::string model = encoder(scratch, "bert-masked");
  const Result unnoticed = run({"train", model, "-d", examples + "/pairs.jsonl", "-o", scratch / "no"});
  CHECK(unnoticed.code == 2);
  CHECK(unnoticed.says("the data have labels, and config.json says BertForMaskedLM, which would pass over them"));
  CHECK(unnoticed.says("--task classification or regression learns them, --task masked-lm the texts alone"));
  const std::vector<std::string> few{"-d", examples + "/pairs.jsonl", "--steps", "2", "--seq-len", "16", "--batch", "4", "--quiet"};
  CHECK(run(std::vector<std::string>{"train", model, "--task", "masked-lm", "-o", scratch / "texts"} + few).code == 0);
  const Result r = run(std::vector<std::string>{"train", model, "--task", "classification", "-o", scratch / "classes"} + few);
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  CHECK(nlohmann::json::parse(read(scratch / "classes/adapter_config.json")).at("modules_to_save") == nlohmann::json::array({"pooler", "classifier"}));
  CHECK(run(std::vector<std::string>{"eval", model, "-a", scratch / "classes", "-d", examples + "/pairs.jsonl"} + quick).code == 0);
}
