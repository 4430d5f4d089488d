// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/io/json_file.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/source.hpp>
#include <espalier/prune/plan.hpp>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

inline constexpr std::string_view plan_file_name = "espalier_plan.json";

/// espalier_plan.json: which units of which checkpoint a pruned directory kept, and why. So that a pruning can be
/// repeated, compared and traced back to its source.
struct PlanFile {
  Plan plan;
  std::string source;  ///< name of the directory that was pruned
  std::string sha256;  ///< of its weights; empty if the model was made in memory
  std::string layout;  ///< how the weights beside this file are laid out: uniform, padded or compact

  /// One line a group: kept and scores are long.
  std::string text() const {
    json::Value head = json::Value::object();
    head.set("format", 1);
    head.set("espalier", ESPALIER_VERSION_STRING);
    head.set("source", json::Value::object({{"name", source}, {"sha256", sha256.empty() ? json::Value() : json::Value(sha256)}}));
    head.set("layout", layout);
    json::Value settings = json::Value::object();
    for (const auto& [key, value] : plan.settings) settings.set(key, value);
    head.set("settings", settings);
    std::string out = head.dump(2);
    out.resize(out.rfind('}') - 1);
    out += ",\n  \"groups\": [";
    for (std::size_t i = 0; i < plan.groups.size(); ++i) {
      const PlanGroup& g = plan.groups[i];
      json::Value group = json::Value::object({{"kind", g.kind}});
      if (g.layer >= 0) group.set("layer", g.layer);  // else it is the model's
      group.set("full", g.full), group.set("kept", g.kept);
      json::Value scores = json::Value::array();
      for (const double s : g.scores) scores.push_back(std::isfinite(s) ? json::Value(s) : json::Value());
      if (!g.scores.empty()) group.set("scores", scores);
      out += (i == 0 ? "\n    " : ",\n    ") + group.dump();
    }
    if (!plan.weights.empty()) out += "\n  ],\n  \"weights\": [";
    for (std::size_t i = 0; i < plan.weights.size(); ++i) {
      const PlanWeights& w = plan.weights[i];
      const json::Value one = json::Value::object({{"projection", w.projection}, {"full", w.full}, {"removed", w.removed}});
      out += (i == 0 ? "\n    " : ",\n    ") + one.dump();
    }
    return out + "\n  ]\n}\n";
  }

  static PlanFile parse(const json::Value& object, const std::string& name) {
    const ConfigReader in(object, name);
    PlanFile file;
    if (in.integer("format", 1, Index{1} << 30) != 1) in.refuse("format is {}; this version reads format 1", in.integer("format", 1, Index{1} << 30));
    if (in.given("source")) {
      const ConfigReader source = in.inner("source");
      file.source = source.text("name", ""), file.sha256 = source.text("sha256", "");
    }
    file.layout = in.text("layout", "");
    if (in.given("settings")) {
      for (const auto& [key, value] : in.inner("settings").object().members()) {
        file.plan.settings.emplace_back(key, value.is_string() ? value.as_string() : value.dump());
      }
    }
    const json::Value* const groups = in.find("groups");
    if (groups == nullptr || !groups->is_array()) in.wrong("groups is not there, or not a list");
    for (const json::Value& group : groups->elements()) {
      file.plan.groups.push_back(group_of({group, format("{}, groups[{}]", name, file.plan.groups.size())}));
    }
    if (const json::Value* const weights = in.find("weights")) {
      if (!weights->is_array()) in.wrong("weights is not a list");
      for (const json::Value& one : weights->elements()) {
        const ConfigReader weight(one, format("{}, weights[{}]", name, file.plan.weights.size()));
        PlanWeights w{weight.text("projection"), weight.integer("full", 1, Index{1} << 50), 0};
        w.removed = weight.integer("removed", 0, w.full);
        file.plan.weights.push_back(std::move(w));
      }
    }
    return file;
  }
  static PlanFile read(const std::string& path) { return parse(json::read_file(path, std::uint64_t{1} << 30), path); }
  void write(const std::string& path) const { io::write_file_atomically(path, std::string_view(text())); }

 private:
  static PlanGroup group_of(const ConfigReader& in) {
    PlanGroup g;
    g.kind = in.text("kind");
    g.layer = in.given("layer") ? in.integer("layer", 0, Index{1} << 30) : -1;
    if (g.layer < 0 && g.kind != "layers" && g.kind != "hidden") in.wrong("layer is not there");
    g.full = in.integer("full", 1, Index{1} << 30);
    const json::Value* const kept = in.find("kept");
    if (kept == nullptr || !kept->is_array()) in.wrong("kept is not there, or not a list");
    for (const json::Value& unit : kept->elements()) {
      if (!unit.is_integer() || unit.as_double() < 0 || unit.as_double() >= double(g.full)) {
        in.wrong("kept has {}, expected numbers from 0 to {}", in.shown(unit), g.full - 1);
      }
      const int u = int(unit.as_index());
      if (!g.kept.empty() && u <= g.kept.back()) in.wrong("kept is not ascending at {}", u);
      g.kept.push_back(u);
    }
    if (g.kept.empty()) in.wrong("kept is empty");
    if (!in.given("scores")) return g;
    const json::Value& scores = *in.find("scores");
    if (!scores.is_array() || scores.size() != g.full) in.wrong("scores is not a list of {} numbers", g.full);
    for (const json::Value& s : scores.elements()) {
      if (!s.is_null() && !s.is_number()) in.wrong("scores has {}, expected a number or null", in.shown(s));
      g.scores.push_back(s.is_null() ? std::nan("") : s.as_double());
    }
    return g;
  }
};

/// What the masks of a model say now, in numbers of the model before any compaction. Scores and settings come from
/// `known`, the pruner's plan, where that has them.
template <class Model>
Plan plan_of(Model& model, const Plan* known = nullptr) {
  Plan plan;
  if (known != nullptr) plan.settings = known->settings;
  model.groups([&](auto&& group) {
    PlanGroup g{group.kind, group.layer, group.mask->full(), {}, {}};
    for (std::size_t u = 0; u < group.mask->alive().size(); ++u)
      if (group.mask->alive()[u]) g.kept.push_back(group.mask->origin()[u]);
    if (known != nullptr) {
      for (const PlanGroup& k : known->groups)
        if (k.kind == g.kind && k.layer == g.layer && k.full == g.full) g.scores = k.scores;
    }
    plan.groups.push_back(std::move(g));
  });
  for_each_projection(model, [&](const std::string& path, auto& p) {
    if (p.weight_mask) plan.weights.push_back({path, p.out() * p.in(), p.weight_mask.removed()});
  });
  return plan;
}

/// Whether anything is missing.
inline bool is_pruned(const Plan& plan) {
  return std::any_of(plan.groups.begin(), plan.groups.end(), [](const PlanGroup& g) { return Index(g.kept.size()) < g.full; }) ||
         !plan.weights.empty();
}

}  // namespace espalier::inline v0
