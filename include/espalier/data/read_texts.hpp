// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <espalier/data/json_lines.hpp>
#include <espalier/data/text_examples.hpp>
#include <espalier/data/text_fields.hpp>

namespace espalier::inline v0 {

/// How texts with labels become examples. text_options(model) fills in what the model decides.
struct TextOptions {
  Index length = 128;  ///< the most tokens of an example, special ones included
  int pad = 0;         ///< the token of padding
  TextFields fields = {};
  LabelRules labels = {};
};

namespace detail {

/// How much of two texts is kept so that they have `room` tokens together: the longer one is cut, or both to one length.
inline std::pair<Index, Index> kept_lengths(Index first, Index second, Index room) {
  if (first + second <= room) return {first, second};
  const Index half = room / 2;
  if (first <= half) return {first, room - first};
  if (second <= half) return {room - second, second};
  return first <= second ? std::pair{half, room - half} : std::pair{room - half, half};
}

/// Its special tokens alone: what a tokenizer puts around one text or two.
template <class Tokenizer>
Index special_tokens(Tokenizer& tokenizer, bool pair) {
  return Index((pair ? tokenizer.around({}, {}) : tokenizer.around({})).ids.size());
}

}  // namespace detail

/// Texts or pairs of texts with labels, one JSON object a line, as GLUE has them:
///
///     {"sentence1": "…", "sentence2": "…", "label": 1}
///
/// Longer ones are cut at the end: of a pair the longer text, until both are of one length.
///
/// Tokenizer: encode(text, false) gives ids, around(first) and around(first, second) put special tokens around them, as
/// that of espalier/data/tokenizer/tokenizer.hpp.
template <class Tokenizer>
TextSet read_texts(const std::string& path, Tokenizer& tokenizer, const TextOptions& options) {
  TextSet set;
  set.source = path, set.pad = options.pad, set.labels.options = options.labels.options;
  TextFields fields = options.fields;
  Index special = -1;
  for_each_json_line(path, [&](const json::Value& line) {
    if (special < 0) {
      fields = detail::fields_of(line, fields, true);
      special = detail::special_tokens(tokenizer, !fields.second.empty());
      require(options.length > special, "{} tokens an example, and {} of them are special: give a greater length", options.length, special);
    }
    const Index room = options.length - special;
    std::vector<int> first = tokenizer.encode(line.text(fields.first), false), second;
    const auto whole = first.size();
    if (fields.second.empty()) {
      first.resize(std::min(whole, std::size_t(room)));
    } else {
      second = tokenizer.encode(line.text(fields.second), false);
      const auto [a, b] = detail::kept_lengths(Index(whole), Index(second.size()), room);
      set.truncated += Index(first.size() + second.size()) > room;
      first.resize(std::size_t(a)), second.resize(std::size_t(b));
    }
    set.truncated += fields.second.empty() && first.size() < whole;
    const auto all = fields.second.empty() ? tokenizer.around(std::move(first)) : tokenizer.around(std::move(first), std::move(second));
    set.labels.add(line.at(fields.label), options.labels.names);
    set.ids.insert(set.ids.end(), all.ids.begin(), all.ids.end());
    set.types.insert(set.types.end(), all.types.begin(), all.types.end());
    set.ends.push_back(Index(set.ids.size()));
  });
  return set;
}

/// What labels a file has, for a head that is new: classes from 0 to the greatest, names in their order, or how many
/// numbers.
inline LabelRules labels_in(const std::string& path, Problem problem, const std::string& field = "") {
  LabelRules rules;
  rules.options.problem = problem;
  std::set<std::string> names;
  Index greatest = -1, width = 0, lines = 0;
  for_each_json_line(path, [&](const json::Value& line) {
    const std::string name = !field.empty() ? field : line.contains("label") ? "label" : "labels";
    const json::Value& label = line.at(name);
    ++lines;
    if (problem != Problem::one_label) {
      const Index here = label.is_array() ? label.size() : 1;
      if (lines > 1 && here != width) fail(Errc::bad_input, "{} has {} numbers, and {} in the lines before", name, here, width);
      width = here;
    } else if (label.is_string()) {
      names.insert(label.as_string());
    } else {
      greatest = std::max(greatest, label.as_index(name));
    }
    if (!names.empty() && greatest >= 0) fail(Errc::bad_input, "{} is a number in some lines and a name in others", name);
  });
  if (lines == 0) fail(Errc::bad_input, "{}: there is no example in it", path);
  for (const std::string& name : names) rules.names.emplace_back(name, int(rules.names.size()));
  if (problem != Problem::one_label) {
    rules.options.count = width;
  } else {
    rules.options.count = std::max<Index>(2, names.empty() ? greatest + 1 : Index(names.size()));
  }
  if (greatest >= Index{1} << 20) fail(Errc::bad_input, "{}: label {} is no number of a class", path, greatest);
  return rules;
}

}  // namespace espalier::inline v0
