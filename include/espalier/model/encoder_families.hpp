// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/bert_files.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/model/families.hpp>
#include <espalier/model/vit_files.hpp>
#include <string>

namespace espalier::inline v0 {

using BertClassesFamily = BertFamily<Bert, SequenceClassification>;
using BertMaskedFamily = BertFamily<Bert, MaskedLanguage>;
using RobertaClassesFamily = BertFamily<Roberta, SequenceClassification>;
using RobertaMaskedFamily = BertFamily<Roberta, MaskedLanguage>;
using DebertaClassesFamily = DebertaFamily<SequenceClassification>;
using DebertaMaskedFamily = DebertaFamily<MaskedLanguage>;

// Every family of encoders that files are read for: the one list that a new one joins.
using EncoderFamilies = Families<BertClassesFamily, BertMaskedFamily, RobertaClassesFamily, RobertaMaskedFamily, DebertaClassesFamily, DebertaMaskedFamily, VitFamily>;

namespace detail {

/// Whether a family predicts hidden tokens, and has no labels.
template <class Family>
constexpr bool predicts_tokens() {
  if constexpr (requires { Family::masked; }) return Family::masked;
  else return false;
}

template <class F, class Family, class... Others>
auto with_encoder_family(Families<Family, Others...>, const ConfigReader& config, const std::string& model_type, bool masked, F&& f) {
  if constexpr (sizeof...(Others) == 0) {
    if (!serves<Family>(model_type) || predicts_tokens<Family>() != masked)
      config.refuse("model_type is {}, which is not supported here {}", printable(model_type), masked ? "for masked language" : "with labels");
    return f(Family{});
  } else {
    if (serves<Family>(model_type) && predicts_tokens<Family>() == masked) return f(Family{});
    return with_encoder_family(Families<Others...>{}, config, model_type, masked, f);
  }
}
template <class... Family>
bool any_serves(Families<Family...>, const std::string& model_type) {
  return (serves<Family>(model_type) || ...);
}

}  // namespace detail

/// Whether a model directory is that of an encoder.
inline bool is_encoder(const std::string& directory) {
  return detail::any_serves(EncoderFamilies{}, read_source(directory).config.text("model_type", ""));
}

/// f(Family{}) for the family of encoders that a model directory belongs to; masked: for predicting hidden tokens, else for
/// labels.
template <class F>
auto with_encoder_family(const std::string& directory, bool masked, F&& f) {
  const json::Value object = read_source(directory).config;
  const ConfigReader config(object, io::join(directory, "config.json"));
  return detail::with_encoder_family(EncoderFamilies{}, config, config.text("model_type"), masked, f);
}

}  // namespace espalier::inline v0
