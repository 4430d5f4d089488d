// SPDX-License-Identifier: MIT
#include "task.hpp"

#include <algorithm>
#include <cstdint>
#include <espalier/data/image_examples.hpp>
#include <espalier/data/read_texts.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/model/adapter_labels.hpp>
#include <espalier/model/encoder_families.hpp>
#include <espalier/model/read_source.hpp>
#include <span>
#include <string_view>

#include "trouble.hpp"

namespace espalier::tool {
namespace {

Problem problem_of(const TaskRequest& task) { return task.name == "regression" ? Problem::regression : Problem::one_label; }

/// What an adapter with a head has learnt; of a directory of PEFT's, the rows of the classifier.
std::optional<LabelRules> labels_of_adapter(const TaskRequest& task) {
  if (task.adapter.empty()) return std::nullopt;
  if (auto labels = read_adapter_labels(task.adapter)) {
    const bool regression = labels->options.kind() == Problem::regression;
    if (task.name != "auto" && (task.name == "regression") != regression)
      throw Trouble{Errc::usage, "--task " + task.name + ": the adapter has learnt " + shown(labels->options), task.adapter, "leave --task away"};
    return labels;
  }
  if (!io::exists(io::join(task.adapter, "adapter_model.safetensors"))) return std::nullopt;  // whoever loads it says so
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

/// What labels a file of data has, for a new head.
LabelRules counted(const std::string& data, Problem problem) {
  if (!data.ends_with(".npy")) return labels_in(data, problem);
  const io::File labels(labels_beside(data)), images(data);
  const NpyHeader header = NpyHeader::read(labels), of_images = NpyHeader::read(images);
  LabelColumn column;
  column.options = {problem == Problem::one_label ? Index{1} << 20 : header.shape.size() == 2 ? header.shape[1] : 1, problem};
  espalier::detail::read_npy_labels(labels_beside(data), of_images.shape.empty() ? 0 : of_images.shape[0], column);
  if (problem == Problem::one_label && !column.classes.empty())
    column.options.count = std::max(2, *std::max_element(column.classes.begin(), column.classes.end()) + 1);
  return {column.options, {}};
}

/// Whether the first example of a .jsonl has a label.
bool has_labels(const std::string& path) {
  if (!path.ends_with(".jsonl") || !io::exists(path)) return false;
  const io::File file(path);
  std::string text;
  const auto begin = [&] { return text.find_first_not_of(" \t\r\n"); };
  while (text.size() < file.size() && text.find('\n', begin()) == std::string::npos) {
    const std::size_t at = text.size();
    text.resize(std::size_t(std::min<std::uint64_t>(file.size(), at + (std::uint64_t{1} << 16))));
    file.read_at(at, std::as_writable_bytes(std::span(text.data() + at, text.size() - at)));
  }
  if (begin() == std::string::npos) return false;
  try {
    const json::Value line = json::parse(std::string_view(text).substr(begin(), text.find('\n', begin()) - begin()), path);
    return line.is_object() && (line.given("label") || line.given("labels"));
  } catch (const Error&) {
    return false;  // whoever reads it says so
  }
}

}  // namespace

std::string labels_beside(const std::string& images) { return images.substr(0, images.size() - 4) + ".labels.npy"; }

bool predicts_tokens(const std::string& directory, const TaskRequest& task) {
  if (task.name != "auto") return task.name == "masked-lm";
  if (!task.adapter.empty() && read_adapter_labels(task.adapter)) return false;
  const ModelSource source = read_source(directory);
  std::string said;
  if (const json::Value* all = source.config.find("architectures"); all != nullptr && all->size() > 0) said = all->at(0).as_string("architectures");
  if (said.ends_with("ForMaskedLM")) {
    if (!has_labels(task.data)) return true;
    throw Trouble{Errc::usage, "the data have labels, and config.json says " + said + ", which would pass over them", task.data,
                  "--task classification or regression learns them, --task masked-lm the texts alone"};
  }
  if (said.ends_with("ForSequenceClassification") || said.ends_with("ForImageClassification") ||
      !may_predict_tokens(EncoderFamilies{}, source.config.text("model_type", ""))) return false;
  throw Trouble{Errc::usage, format("config.json says {}, which is no task", said.empty() ? "nothing of architectures" : said), directory,
                "say --task classification, regression or masked-lm"};
}

void require_task(const TaskRequest& task, const LabelOptions& head, const std::string& directory) {
  if (task.name == "auto" || task.name == "masked-lm" || (task.name == "regression") == (head.kind() == Problem::regression)) return;
  throw Trouble{Errc::usage, "--task " + task.name + ": the head in these files is for " + shown(head), directory,
                "leave --task away; or let train, prune or compare draw another for the labels of the data: --new-head"};
}

std::optional<LabelRules> new_labels(const std::string& directory, const TaskRequest& task, const LabelOptions& said, bool there) {
  if (there && !task.new_head) {
    auto brought = labels_of_adapter(task);
    const bool fit = !brought || (brought->options.count == said.count && (brought->names.empty() || brought->options.kind() == said.kind()));
    if (fit) {
      require_task(task, said, directory);
      return std::nullopt;
    }
    brought->options.new_head = true;  // what the adapter has learnt comes in its place
    return brought;
  }
  const bool known = !task.new_head && task.name == "auto" && read_source(directory).config.given("id2label");
  if (!task.adapter.empty() && (!known || read_adapter_labels(task.adapter)))
    if (auto labels = labels_of_adapter(task)) {
      if (task.new_head) throw Trouble{Errc::usage, "--new-head draws a head, and the adapter brings one", task.adapter, "leave one of them away"};
      return labels;
    }
  if (known || task.data.empty()) return std::nullopt;
  LabelRules labels = counted(task.data, task.new_head && task.name == "auto" ? said.kind() : problem_of(task));
  labels.options.new_head = task.new_head;
  return labels;
}

bool has_other_labels(const std::string& data, const LabelRules& head) {
  try {
    const LabelRules there = counted(data, head.options.kind());
    if (there.names.empty())
      return head.options.kind() == Problem::one_label ? there.options.count > head.options.count : there.options.count != head.options.count;
    return std::any_of(there.names.begin(), there.names.end(), [&](const auto& label) {
      return std::none_of(head.names.begin(), head.names.end(), [&](const auto& known) { return known.first == label.first; });
    });
  } catch (const Error&) {
    return false;  // it is something else
  }
}

}  // namespace espalier::tool
