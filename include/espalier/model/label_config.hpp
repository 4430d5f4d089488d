// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/config_reader.hpp>
#include <espalier/model/label_head.hpp>
#include <string>

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

/// Names of labels survive as long as their number does.
inline void write_labels(const LabelOptions& labels, json::Value& object) {
  if (read_labels({object, "config.json"}).count != labels.count) {
    json::Value names = json::Value::object(), numbers = json::Value::object();
    for (Index i = 0; i < labels.count; ++i) {
      const std::string name = "LABEL_" + std::to_string(i);
      names.set(std::to_string(i), name), numbers.set(name, i);
    }
    object.set("id2label", names), object.set("label2id", numbers);
    object.erase("num_labels");
  }
  if (labels.problem == Problem::regression) object.set("problem_type", "regression");
  if (labels.problem == Problem::one_label) object.set("problem_type", "single_label_classification");
  if (labels.problem == Problem::several_labels) object.set("problem_type", "multi_label_classification");
}

}  // namespace espalier::inline v0
