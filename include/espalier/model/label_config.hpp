// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <charconv>
#include <espalier/core/label_options.hpp>
#include <espalier/model/config_reader.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// How many labels, and what they are: id2label (or num_labels) and problem_type of config.json.
inline LabelOptions read_labels(const ConfigReader& config) {
  LabelOptions labels;
  constexpr Index most = Index{1} << 20;
  if (config.given("id2label")) {
    labels.count = config.inner("id2label").object().size();
    if (labels.count < 1 || labels.count > most) config.wrong("id2label has {} labels, expected 1 to {}", labels.count, most);
  } else {
    labels.count = config.integer("num_labels", 2, 1, most);
  }
  const std::string problem = config.text("problem_type", "");
  if (problem == "regression") labels.problem = Problem::regression;
  if (problem == "single_label_classification") labels.problem = Problem::one_label;
  if (problem == "multi_label_classification") labels.problem = Problem::several_labels;
  if (!problem.empty() && labels.problem == Problem::automatic) {
    config.refuse("problem_type is {}, which is not supported: regression, single_label_classification and "
                  "multi_label_classification are", printable(problem));
  }
  return labels;
}

using LabelNames = std::vector<std::pair<std::string, int>>;

/// What so many labels are called: label2id of config.json, or id2label where it stands alone. None where these are the names
/// of a head for other labels.
inline LabelNames label_names(const json::Value& config, Index count) {
  LabelNames names;
  bool fit = true;
  const auto add = [&](const std::string& name, Index number) {
    fit = fit && number >= 0 && number < count;
    names.emplace_back(name, int(number));
  };
  if (config.given("label2id")) {
    for (const auto& [name, id] : config.at("label2id").members("label2id")) add(name, id.as_index("label2id"));
  } else if (config.given("id2label")) {
    for (const auto& [id, name] : config.at("id2label").members("id2label")) {
      Index number = -1;
      const bool whole = std::from_chars(id.data(), id.data() + id.size(), number).ptr == id.data() + id.size();
      add(name.as_string("id2label"), whole ? number : -1);
    }
  }
  return fit ? names : LabelNames{};
}

/// Calls labels by these names, in the config.json of what is written.
inline void name_labels(json::Value& config, LabelNames names) {
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  json::Value texts = json::Value::object(), numbers = json::Value::object();
  for (const auto& [name, number] : names) texts.set(std::to_string(number), name), numbers.set(name, number);
  config.set("id2label", texts), config.set("label2id", numbers);
}
/// LABEL_0, LABEL_1, …
inline void number_labels(json::Value& config, Index count) {
  LabelNames names;
  for (Index i = 0; i < count; ++i) names.emplace_back("LABEL_" + std::to_string(i), int(i));
  name_labels(config, std::move(names));
  config.erase("num_labels");
}

/// Names of labels survive as long as their number does.
inline void write_labels(const LabelOptions& labels, json::Value& object) {
  const LabelOptions was = read_labels({object, "config.json"});
  if (was.count != labels.count) number_labels(object, labels.count);
  if (was.kind() != labels.kind()) object.erase("problem_type");
  if (labels.problem == Problem::regression) object.set("problem_type", "regression");
  if (labels.problem == Problem::one_label) object.set("problem_type", "single_label_classification");
  if (labels.problem == Problem::several_labels) object.set("problem_type", "multi_label_classification");
}

}  // namespace espalier::inline v0
