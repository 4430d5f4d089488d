// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/label_column.hpp>
#include <optional>
#include <string>

namespace espalier::tool {

/// What is asked of an encoder, where its config.json leaves that open: --task, and files that say how many labels there are.
struct TaskRequest {
  std::string name = "auto";  ///< classification, regression, masked-lm; auto: as config.json says
  std::string data = {}, adapter = {};
  bool new_head = false;  ///< --new-head: one is drawn though the files have one
};

/// masked-lm, or something with labels. Refuses a directory that says nothing, and data with labels that nobody asked to pass
/// over.
bool predicts_tokens(const std::string& directory, const TaskRequest&);
/// Refuses a task that a head is not for.
void require_task(const TaskRequest&, const LabelOptions& head, const std::string& directory);
/// The labels of a head that is new, from the data or the adapter; none: it is for what config.json says. said: that;
/// there: the files have a head, which then has to fit what is asked.
std::optional<LabelRules> new_labels(const std::string& directory, const TaskRequest&, const LabelOptions& said, bool there);
/// Whether a file of data has labels that a head has no place for.
bool has_other_labels(const std::string& data, const LabelRules& head);
/// The file beside images that has their labels: x.labels.npy of x.npy.
std::string labels_beside(const std::string& images);

}  // namespace espalier::tool
