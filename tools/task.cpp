// SPDX-License-Identifier: MIT
#include "task.hpp"

#include <algorithm>
#include <espalier/data/image_examples.hpp>
#include <espalier/data/read_texts.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/model/adapter_labels.hpp>
#include <espalier/model/encoder_families.hpp>
#include <espalier/model/read_source.hpp>

#include "trouble.hpp"

namespace espalier::tool {
namespace {

Problem problem_of(const TaskRequest& task) { return task.name == "regression" ? Problem::regression : Problem::one_label; }

/// What an adapter with a head has learnt; of a directory of PEFT's, the rows of the classifier.
std::optional<LabelRules> labels_of_adapter(const TaskRequest& task) {
  if (auto labels = read_adapter_labels(task.adapter)) {
    const bool regression = labels->options.kind() == Problem::regression;
    if (task.name != "auto" && (task.name == "regression") != regression)
      throw Trouble{Errc::usage, "--task " + task.name + ": the adapter has learnt " + shown(labels->options), task.adapter, "leave --task away"};
    return labels;
  }
  const SafetensorsFile file(io::resolve_inside(task.adapter, "adapter_model.safetensors"));
  for (const TensorInfo& t : file.tensors()) {
    if (!t.name.ends_with("classifier.weight") && !t.name.ends_with("classifier.out_proj.weight")) continue;
    if (t.shape.size() == 2 && t.shape[0] > 0)
      return LabelRules{{t.shape[0], task.name == "auto" ? Problem::automatic : problem_of(task)}, {}};
  }
  return std::nullopt;
}

/// Whether a type of model has a family that predicts hidden tokens: where it has none, labels are all that it can be for.
template <class... Family>
bool may_predict_tokens(Families<Family...>, const std::string& model_type) {
  return ((espalier::detail::predicts_tokens<Family>() && espalier::detail::serves<Family>(model_type)) || ...);
}

}  // namespace

std::string labels_beside(const std::string& images) { return images.substr(0, images.size() - 4) + ".labels.npy"; }

bool predicts_tokens(const std::string& directory, const TaskRequest& task) {
  if (task.name != "auto") return task.name == "masked-lm";
  if (!task.adapter.empty() && read_adapter_labels(task.adapter)) return false;
  const ModelSource source = read_source(directory);
  std::string said;
  if (const json::Value* all = source.config.find("architectures"); all != nullptr && all->size() > 0) said = all->at(0).as_string("architectures");
  if (said.ends_with("ForMaskedLM")) return true;
  if (said.ends_with("ForSequenceClassification") || said.ends_with("ForImageClassification") ||
      !may_predict_tokens(EncoderFamilies{}, source.config.text("model_type", ""))) return false;
  throw Trouble{Errc::usage, format("config.json says {}, which is no task", said.empty() ? "nothing of architectures" : said), directory,
                "say --task classification, regression or masked-lm"};
}

std::optional<LabelRules> new_labels(const std::string& directory, const TaskRequest& task) {
  const bool said = read_source(directory).config.given("id2label") && task.name == "auto";
  if (!task.adapter.empty() && (!said || read_adapter_labels(task.adapter)))
    if (auto labels = labels_of_adapter(task)) return labels;
  if (said) return std::nullopt;
  if (task.data.empty()) return std::nullopt;
  if (!task.data.ends_with(".npy")) return labels_in(task.data, problem_of(task));
  LabelColumn column;
  column.options = {problem_of(task) == Problem::regression ? 1 : Index{1} << 20, problem_of(task)};
  const io::File images(task.data);
  const NpyHeader header = NpyHeader::read(images);
  espalier::detail::read_npy_labels(labels_beside(task.data), header.shape.empty() ? 0 : header.shape[0], column);
  if (problem_of(task) == Problem::one_label && !column.classes.empty())
    column.options.count = std::max(2, *std::max_element(column.classes.begin(), column.classes.end()) + 1);
  return LabelRules{column.options, {}};
}

}  // namespace espalier::tool
