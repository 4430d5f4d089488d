// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/data/label_column.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/label_config.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::inline v0 {

/// Beside adapters that bring a head for labels: what PEFT has no place for, namely how many labels there are, of what kind,
/// and what they are called. In the keys of config.json, so that in Python
///
///     labels = json.load(open("adapter/espalier_labels.json"))
///     labels["id2label"] = dict(enumerate(labels["id2label"].values()))  # JSON knows no whole numbers as keys
///     PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base, **labels), "adapter")
///
/// is the model that was trained.
inline constexpr std::string_view label_file_name = "espalier_labels.json";

/// The labels that an adapter has learnt. None: PEFT's own directories do not say.
inline std::optional<LabelRules> read_adapter_labels(const std::string& directory) {
  const std::string path = io::join(directory, label_file_name);
  if (!io::exists(path)) return std::nullopt;
  const json::Value object = json::read_file(io::resolve_inside(directory, label_file_name), std::uint64_t{16} << 20);
  const ConfigReader config(object, path);
  if (!config.given("id2label")) config.wrong("id2label is missing");
  LabelRules rules;
  rules.options = read_labels(config);
  rules.names = label_names(json::Value::object({{"id2label", object.at("id2label")}}), rules.options.count);
  if (Index(rules.names.size()) != rules.options.count) config.wrong("id2label has other keys than 0 to {}", rules.options.count - 1);
  return rules;
}

namespace detail {

/// espalier_labels.json of a model: its own names, or LABEL_0, LABEL_1, …
template <class Model>
json::Value label_file(const Model& model) {
  const LabelOptions& labels = model.head.options;
  json::Value object = json::Value::object();
  const LabelNames names = label_names(model.source.config, labels.count);
  if (Index(names.size()) == labels.count) name_labels(object, names);
  else number_labels(object, labels.count);
  write_labels(labels, object);
  return object;
}

/// Refuses a head for other labels than the model's.
template <class Model>
void check_labels(const Model& model, const LabelRules& rules, const std::string& directory) {
  const LabelOptions &brought = rules.options, &head = model.head.options;
  if (brought.count == head.count && brought.kind() == head.kind()) return;
  fail(Errc::bad_input, "{}: the adapter has a head for {}, and the model's is for {}\n  hint: a base model gets a new head for "
       "the labels of an adapter by load(device, base, adapter options, seed, read_adapter_labels(\"{}\")->options)", directory,
       shown(brought), shown(head), directory);
}
/// The model's labels are the adapter's, and are called as there.
template <class Model>
void take_labels(Model& model, const LabelRules& rules) {
  model.config.labels = model.head.options = rules.options;
  name_labels(model.source.config, rules.names);
}

}  // namespace detail
}  // namespace espalier::inline v0
