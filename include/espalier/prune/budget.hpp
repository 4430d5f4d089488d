// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/visit.hpp>
#include <espalier/nn/group.hpp>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace espalier::inline v0 {

// A budget prices a unit: what leaves with it, for every group in the order in which the model lists them; and it counts
// the real thing, from the tensors as they are. What is left of a model is then
//
//   left(kept) = count(dense) − Σ over groups of price · (full − kept)
//
// A new kind of budget is a struct with these three members and its name in the list below.
//
//   kName                     what is counted, in words
//   prices(model)             of one unit of each group
//   count(model)              of the model as its tensors are, masked units included

// Who prints what a model costs asks the budget, so that a target and what is said of it are counted alike.

namespace detail {
/// f(out, in) for every map that a token goes through: a model may say which these are, else it is all projections.
template <class Model, class F>
void for_each_token_map(Model& model, F&& f) {
  if constexpr (requires { model.token_maps(f); }) model.token_maps(f);
  else for_each_projection(model, [&](const std::string&, auto& p) { f(p.out(), p.in()); });
}
/// What a channel of the residual stream takes of the language head, which is no projection.
template <class Model>
double head_rows(const Model& model) {
  if constexpr (requires { model.head().rows(); }) return double(model.head().rows());
  else return 0;
}
}  // namespace detail

/// Parameters of the file: all but adapters.
struct ParameterBudget {
  static constexpr const char* kName = "parameters";

  template <class Model>
  std::vector<double> prices(Model& model) const {
    std::vector<double> out;
    model.groups([&](auto group) { out.push_back(double(group.cost())); });
    return out;
  }
  template <class Model>
  double count(Model& model) const {
    return double(count_parameters(model));
  }
};

/// Multiplications for one token: every weight of a map that tokens go through once, the language head included, and for
/// each head q·kᵀ and p·v over the positions that the token attends to,
///
///   MACs = Σ out · in + 2 · positions · Σ outputs of the heads
///
/// A causal sequence of T tokens attends to (T + 1) / 2 on average, in both directions to T; with 0 only weights are
/// counted, which no length changes. Embeddings are looked up, and a classifier works once for a sequence: neither is here.
struct MacBudget {
  static constexpr const char* kName = "MACs per token";
  double positions = 0;

  /// Multiplications that depend on positions, of one unit.
  template <class Group>
  double attention(const Group& group) const {
    double width = 0;
    if (group.kind == "heads" || group.kind == "queries")
      for (const auto& s : group.slices)
        if (s.axis == Axis::columns) width += double(s.width);
    return 2 * positions * width;
  }
  template <class Group>
  double price(const Group& group) const {
    double n = attention(group);
    for (const auto& s : group.slices)
      n += double(s.width * (s.axis == Axis::rows ? s.projection->in() : s.projection->out()));
    group.each_inner([&](const Group& g) { n += double(g.units()) * price(g); });
    return n;
  }
  template <class Model>
  std::vector<double> prices(Model& model) const {
    std::vector<double> out;
    const double head = detail::head_rows(model);
    model.groups([&](auto group) { out.push_back(price(group) + (group.kind == "hidden" ? head : 0)); });
    return out;
  }
  template <class Model>
  double count(Model& model) const {
    double n = 0;
    detail::for_each_token_map(model, [&](Index out, Index in) { n += double(out) * double(in); });
    if (positions > 0) detail::for_each_group(model, [&](auto group) { n += double(group.units()) * attention(group); });
    return n;
  }
};

/// Bytes of all tensors as they will be stored, each in its own number format; the header of the file, which only names
/// them, is not counted.
struct ByteBudget {
  static constexpr const char* kName = "bytes";
  std::map<std::string, double> bytes = {};  ///< of one number, by the name of its tensor

  template <class Model>
  std::vector<double> prices(Model& model) const {
    std::map<const void*, std::string> paths;
    for_each_tensor(model, [&](const std::string& path, auto& tensor) { paths[&tensor] = path; });
    std::vector<double> out;
    model.groups([&](auto group) { out.push_back(price(group, paths)); });
    return out;
  }
  template <class Group>
  double price(const Group& group, const std::map<const void*, std::string>& paths) const {
    double n = 0;
    for (const auto& s : group.slices) {
      const auto& p = *s.projection;
      n += double(s.width * (s.axis == Axis::rows ? p.in() : p.out())) * bytes.at(paths.at(&p.weight));
      if (s.axis == Axis::rows && !p.bias.empty()) n += double(s.width) * bytes.at(paths.at(&p.bias));
    }
    for (const Share& s : group.shares) n += double(s.numbers) * bytes.at(paths.at(s.tensor));
    group.each_inner([&](const Group& g) { n += double(g.units()) * price(g, paths); });
    return n;
  }
  template <class Model>
  double count(Model& model) const {
    double n = 0;
    for_each_stored(model, [&](const std::string& path, auto& t) { n += double(t.size()) * bytes.at(path); });
    return n;
  }
};

/// Every kind there is. Latency has no price of a unit: fit_latency() finds the MACs that take so long.
using Budget = std::variant<ParameterBudget, MacBudget, ByteBudget>;

inline const char* name_of(const Budget& budget) {
  return std::visit([](const auto& b) { return b.kName; }, budget);
}
template <class Model>
std::vector<double> prices(const Budget& budget, Model& model) {
  return std::visit([&](const auto& b) { return b.prices(model); }, budget);
}
template <class Model>
double count(const Budget& budget, Model& model) {
  return std::visit([&](const auto& b) { return b.count(model); }, budget);
}

/// How many units of a kind every layer is stored with when the widest one keeps so many, widths[kind][widest]: for files
/// that have one width for all layers and are filled up with zeros. Never falls as `widest` grows. Empty: every layer
/// has its own width.
using Widths = std::map<std::string, std::vector<Index>>;

/// What should be left of a model in the end.
struct Target {
  Budget budget = ParameterBudget{};
  double left = 0;     ///< 0: none, the schedule's sparsity says how much leaves
  Widths widths = {};  ///< of what is counted
};

}  // namespace espalier::inline v0
