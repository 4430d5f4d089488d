// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/compact_config.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/gpt2_files.hpp>
#include <espalier/model/llama_files.hpp>
#include <espalier/model/read_source.hpp>
#include <string>

namespace espalier::inline v0 {

template <class... Family>
struct Families {};
/// Every family of language models that files are read for: the one list that a new one joins.
using LanguageFamilies = Families<LlamaFamily, Gpt2Family>;

namespace detail {

template <class Family>
bool serves(const std::string& model_type) {
  for (const std::string_view type : StoredModel<typename Family::Config>::kTypes)
    if (type == model_type) return true;
  return false;
}
template <class Family>
std::string types_of() {
  std::string text;
  for (const std::string_view type : StoredModel<typename Family::Config>::kTypes) text += format("{} ", type);
  return text;
}

template <class F, class Family, class... Others>
auto with_family(Families<Family, Others...>, const std::string& model_type, F&& f) {
  if constexpr (sizeof...(Others) == 0) {
    return f(Family{});
  } else {
    if (serves<Family>(model_type)) return f(Family{});
    return with_family(Families<Others...>{}, model_type, f);
  }
}
template <class... Family>
void require_served(Families<Family...>, const ConfigReader& config) {
  const std::string type = config.text("model_type");
  if ((serves<Family>(type) || ...)) return;
  std::string types = (types_of<Family>() + ...);
  types.pop_back();
  config.refuse("model_type is {}, which is not supported; these are: {}", printable(type), types);
}

}  // namespace detail

/// f(Family{}) for the family that a model directory belongs to, by the model_type of its config.json: layout compact has
/// one of its own, which says the stock type.
///
///     with_family("model/", [&](auto family) { … load<LanguageModel<Device, LowRankAdapter, decltype(family)>>(…) … });
template <class F>
auto with_family(const std::string& directory, F&& f) {
  const json::Value object = stock_config(read_source(directory).config);
  const ConfigReader config(object, io::join(directory, "config.json"));
  detail::require_served(LanguageFamilies{}, config);
  return detail::with_family(LanguageFamilies{}, config.text("model_type"), f);
}

}  // namespace espalier::inline v0
