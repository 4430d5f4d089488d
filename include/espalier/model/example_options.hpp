// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/data/image_examples.hpp>
#include <espalier/data/read_texts.hpp>
#include <espalier/model/label_config.hpp>

namespace espalier::inline v0 {

/// What labels a model knows: those of its head, under the names of label2id in its config.json.
template <class Model>
LabelRules label_rules(const Model& model) {
  LabelRules rules;
  rules.options = model.config.labels;
  rules.names = label_names(model.source.config, rules.options.count);
  return rules;
}

/// How texts are read for a model: not longer than it has positions, with its padding and its labels.
template <class Model>
TextOptions text_options(const Model& model, TextOptions o = {}) {
  if constexpr (requires { Model::Stem::longest(model.config); }) o.length = std::min(o.length, Model::Stem::longest(model.config));
  o.pad = int(model.config.pad);
  if constexpr (requires { model.head.options; }) o.labels = label_rules(model);
  return o;
}

/// How images are read for a model: scaled as the preprocessor_config.json of its directory says.
template <class Model>
ImageOptions image_options(const Model& model) {
  return {read_image_scale(model.source.directory), label_rules(model)};
}

}  // namespace espalier::inline v0
