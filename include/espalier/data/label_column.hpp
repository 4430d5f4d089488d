// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/core/label_options.hpp>
#include <espalier/core/text_batch.hpp>
#include <espalier/io/json.hpp>
#include <espalier/io/sha256.hpp>

namespace espalier::inline v0 {

/// How many labels there are, of what kind, and what they are called: the configuration's label2id.
struct LabelRules {
  LabelOptions options = {};
  std::vector<std::pair<std::string, int>> names = {};
};

/// The labels of a set of examples. A class is its number or its name; what may hold or not is a list of 0 and 1; numbers
/// are a number, or a list of them. Empty where there is nothing to be found but the examples themselves.
struct LabelColumn {
  LabelOptions options = {};
  std::vector<int> classes;    // (examples), or
  std::vector<double> values;  // (examples, options.count)

  bool empty() const { return classes.empty() && values.empty(); }
  Index size() const { return options.kind() == Problem::one_label ? Index(classes.size()) : Index(values.size()) / options.count; }

  void add_class(Index c) {
    if (c < 0 || c >= options.count) {
      fail(Errc::bad_input, "label {} is none of the {} classes, which are 0 to {}{}", c, options.count, options.count - 1,
           c == -1 ? "; -1 stands for no label in test sets, which there is nothing to learn from" : "");
    }
    classes.push_back(int(c));
  }
  void add_value(double x) {
    if (!std::isfinite(x)) fail(Errc::bad_input, "label {} is not finite", x);
    if (options.kind() == Problem::several_labels && x != 0 && x != 1)
      fail(Errc::bad_input, "label {} is neither 0 nor 1: each of the {} labels holds or does not", x, options.count);
    values.push_back(x);
  }
  void add(const json::Value& label, const std::vector<std::pair<std::string, int>>& names) {
    if (options.kind() == Problem::one_label) {
      if (!label.is_string()) return add_class(label.as_index("label"));
      const std::string& name = label.as_string();
      const auto at = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; });
      if (at != names.end()) return add_class(at->second);
      std::string known;
      for (const auto& [n, id] : names) known += (known.empty() ? "" : ", ") + n;
      fail(Errc::bad_input, "label {} is none of label2id, which has: {}", printable(name), known.empty() ? "nothing" : known);
    }
    if (options.count == 1 && !label.is_array()) return add_value(label.as_double("label"));
    const auto& all = label.elements("label");
    if (Index(all.size()) != options.count)
      fail(Errc::bad_input, "label has {} numbers, expected {}, one for each label", all.size(), options.count);
    for (const json::Value& x : all) add_value(x.as_double("label"));
  }

  /// Appends the labels of example i, if there are any.
  void copy(Index i, std::vector<int>& c, std::vector<double>& v) const {
    if (empty()) return;
    if (options.kind() == Problem::one_label) return c.push_back(classes[std::size_t(i)]);
    v.insert(v.end(), values.begin() + i * options.count, values.begin() + (i + 1) * options.count);
  }
  LabelColumn part(std::span<const Index> which) const {
    LabelColumn p;
    p.options = options;
    for (const Index i : which) copy(i, p.classes, p.values);
    return p;
  }
  /// Refuses labels that a head of these options has no place for.
  void check(const LabelOptions& head, const std::string& source) const {
    if (head.count == options.count && head.kind() == options.kind()) return;
    fail(Errc::usage, "{}: read for {}, and the model's head is for {}", source, shown(options), shown(head));
  }
  void add_to(Sha256& hash) const {
    hash.update(format(" labels {} {} {};", int(options.kind()), options.count, size()));
    hash.update(std::as_bytes(std::span(classes))).update(std::as_bytes(std::span(values)));
  }
};

}  // namespace espalier::inline v0
