// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include <espalier/core/target.hpp>
#include <espalier/data/json_lines.hpp>
#include <espalier/data/token_list.hpp>

namespace espalier::inline v0 {

namespace detail {

inline int token_of(const json::Value& value, std::string_view name, bool may_ignore) {
  const Index id = value.as_index(name);
  if (!std::in_range<int>(id) || (id < 0 && !(may_ignore && id == kIgnore))) {
    fail(Errc::bad_input, "{} holds {}, which is no token id", printable(name), id);
  }
  return int(id);
}

/// One line: {"input_ids": […], "labels": […]} or {"text": "…"}.
inline void append_document(Tokens& tokens, const json::Value& line) {
  const json::Value *ids = line.find("input_ids"), *labels = line.find("labels"), *text = line.find("text");
  if (ids == nullptr && text == nullptr) {
    fail(Errc::unsupported,
         "expected \"input_ids\" (and \"labels\"), or \"text\"; conversations and instructions have to be turned into "
         "token ids by the model's own template first");
  }
  if (const json::Value* seen = ids != nullptr ? line.find("attention_mask") : nullptr) {
    for (const json::Value& m : seen->elements("attention_mask")) {
      if (m.as_index("attention_mask") != 1) {
        fail(Errc::unsupported,
             "\"attention_mask\" hides tokens, which would be trained on: leave padding out, it is added here");
      }
    }
  }
  if (ids != nullptr) {
    for (const json::Value& id : ids->elements("input_ids")) tokens.ids.push_back(token_of(id, "input_ids", false));
  } else {
    for (const char c : text->as_string("text")) tokens.ids.push_back(static_cast<unsigned char>(c));
    tokens.bytes = true;
  }
  if (labels != nullptr && ids != nullptr) {
    if (labels->elements("labels").size() != ids->elements().size()) {
      fail(Errc::bad_input, "{} labels for {} input_ids", labels->elements().size(), ids->elements().size());
    }
    // Labels of earlier documents without any of their own are their ids.
    tokens.labels.insert(tokens.labels.end(), tokens.ids.begin() + Index(tokens.labels.size()),
                         tokens.ids.end() - ids->size());
    for (const json::Value& id : labels->elements()) tokens.labels.push_back(token_of(id, "labels", true));
  } else if (!tokens.labels.empty()) {
    tokens.labels.insert(tokens.labels.end(), tokens.ids.begin() + Index(tokens.labels.size()), tokens.ids.end());
  }
  tokens.ends.push_back(tokens.size());
}

}  // namespace detail

/// One JSON object a line, one document an object. A label stands in the place of the id it replaces, as in Hugging
/// Face data sets; −100 is neither learnt nor counted.
inline Tokens read_jsonl_tokens(const std::string& path) {
  Tokens tokens;
  tokens.source = path;
  Index of_text = 0;
  for_each_json_line(path, [&](const json::Value& line) {
    detail::append_document(tokens, line);
    of_text += line.contains("input_ids") ? 0 : 1;
  });
  if (of_text != 0 && of_text != tokens.documents()) {
    fail(Errc::bad_input, "{}: {} of {} lines are text and the others token ids: make it one or the other", path,
         of_text, tokens.documents());
  }
  return tokens;
}

}  // namespace espalier::inline v0
