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
};

/// masked-lm, or something with labels. Refuses a directory that says nothing.
bool predicts_tokens(const std::string& directory, const TaskRequest&);
/// The labels of a head that is new, from the data or the adapter. None: config.json knows.
std::optional<LabelRules> new_labels(const std::string& directory, const TaskRequest&);
/// The file beside images that has their labels: x.labels.npy of x.npy.
std::string labels_beside(const std::string& images);

}  // namespace espalier::tool
