// SPDX-License-Identifier: MIT
#include "golden.hpp"

#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/io/file.hpp>
#include <espalier/io/json_file.hpp>
#include <span>

namespace espalier::test {

namespace {

std::vector<int> integers(const SafetensorsFile& file, const std::string& name) {
  std::vector<std::int64_t> x(static_cast<std::size_t>(file.info(name).elements()));
  file.read(name, std::as_writable_bytes(std::span(x)));
  return {x.begin(), x.end()};
}

std::vector<double> numbers_of(const SafetensorsFile& file, const std::string& name) {
  std::vector<double> x(static_cast<std::size_t>(file.info(name).elements()));
  file.read_numbers(name, std::span(x));
  return x;
}

/// What the tests know. Whoever brings another class asks for its checkpoints where they are read and written.
constexpr std::string_view kClasses[] = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GPT2LMHeadModel",
                                         "BertForSequenceClassification", "BertForMaskedLM", "RobertaForSequenceClassification",
                                         "RobertaForMaskedLM", "DebertaV2ForSequenceClassification", "DebertaV2ForMaskedLM",
                                         "ViTForImageClassification"};

}  // namespace

std::vector<std::string> golden_cases(std::initializer_list<std::string_view> classes) {
  const auto among = [](const auto& some, std::string_view name) { return std::find(std::begin(some), std::end(some), name) != std::end(some); };
  for (const std::string_view name : classes) require(among(kClasses, name), "golden cases: {} is among no classes", name);
  std::vector<std::string> cases;
  for (const std::string& name : io::list_directory(golden_directory(""))) {
    const json::Value config = json::read_file(golden_directory(name) + "/config.json");
    const std::string& its_class = config.at("architectures").at(0).as_string();
    require(among(kClasses, its_class), "golden cases: {} is a {}, which no test asks for", name, its_class);
    if (among(classes, its_class)) cases.push_back(name);
  }
  require(!cases.empty(), "golden cases: there are none");
  std::sort(cases.begin(), cases.end());
  return cases;
}

Golden::Golden(const std::string& name)
    : directory(golden_directory(name)), file(directory + "/golden.safetensors"), tokens(integers(file, "input_ids")) {
  const auto& info = file.info("input_ids");
  shape = {info.shape[0], info.shape[1]};
  const auto labels = integers(file, "labels");  // transformers shifts inside the model: what counts is the next label
  targets.assign(labels.size(), -100);
  for (Index b = 0; b < shape.batch; ++b)
    for (Index t = 0; t + 1 < shape.seq; ++t)
      targets[std::size_t(b * shape.seq + t)] = labels[std::size_t(b * shape.seq + t + 1)];
}

std::vector<double> Golden::numbers(const std::string& name) const { return numbers_of(file, name); }

TextGolden::TextGolden(const std::string& name)
    : directory(golden_directory(name)), file(directory + "/golden.safetensors"), tokens(integers(file, "input_ids")),
      visible(integers(file, "attention_mask")) {
  const auto& info = file.info("input_ids");
  shape = {info.shape[0], info.shape[1]};
  if (file.contains("token_type_ids")) segments = integers(file, "token_type_ids");
  if (file.info("labels").dtype == Dtype::i64) classes = integers(file, "labels");
  else values = numbers_of(file, "labels");
}

TextBatch TextGolden::batch() const {
  return {.tokens = tokens, .visible = visible, .segments = segments, .labels = {classes, values}, .shape = shape};
}
std::vector<double> TextGolden::numbers(const std::string& name) const { return numbers_of(file, name); }

}  // namespace espalier::test
