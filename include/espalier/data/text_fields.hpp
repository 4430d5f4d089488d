// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0 {

/// Under which names a line holds its text, the second one of a pair, and its label. Empty names are found in the first
/// line, where they are those that GLUE and its relatives use.
struct TextFields {
  std::string first = {}, second = {}, label = {};
};

namespace detail {

inline constexpr std::pair<std::string_view, std::string_view> known_text_fields[] = {
    {"sentence1", "sentence2"}, {"premise", "hypothesis"}, {"question1", "question2"}, {"question", "sentence"},
    {"question", "passage"},    {"text", "text_pair"},     {"text", ""},               {"sentence", ""}};

/// The names that a line uses; `labelled`: a label is wanted too.
inline TextFields fields_of(const json::Value& line, TextFields fields, bool labelled) {
  const auto has = [&](std::string_view name) { return name.empty() || line.contains(name); };
  if (fields.first.empty()) {
    require(fields.second.empty(), "a field for the second text is named, {}, and none for the first", fields.second);
    std::string others;
    for (const auto& [first, second] : known_text_fields) {
      others += format("{}{}{}{}", others.empty() ? "" : "; ", first, second.empty() ? "" : ", ", second);
      if (!has(first) || !has(second)) continue;
      const bool within = first == fields.first || (first == "sentence" && fields.second == "sentence");
      if (fields.first.empty()) {
        fields.first = first, fields.second = second;
      } else if (!within) {
        fail(Errc::bad_input, "there are texts under {} and under {}\n  hint: rename those that are meant to text, or text and text_pair, "
             "and the others to anything else", fields.first, first);
      }
    }
    if (fields.first.empty()) fail(Errc::bad_input, "there is no text in it; these fields are known: {}", others);
  }
  if (labelled && fields.label.empty()) {
    fields.label = line.contains("label") ? "label" : "labels";
    if (!line.contains(fields.label)) fail(Errc::bad_input, "there is no \"label\" in it");
  }
  return fields;
}

}  // namespace detail
}  // namespace espalier::inline v0
