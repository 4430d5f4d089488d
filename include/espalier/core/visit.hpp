// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>
#include <string>
#include <type_traits>

namespace espalier::inline v0 {

namespace detail {
struct Ignore {
  template <class X>
  void operator()(const std::string&, X&) const {}
};
template <class X>
inline constexpr bool is_parameter = false;
template <class D>
inline constexpr bool is_parameter<Parameter<D>> = true;
template <class X>
inline constexpr bool is_tensor = false;
template <class D, class T, int R>
inline constexpr bool is_tensor<Tensor<D, T, R>> = true;
}  // namespace detail

/// Lists its members: static void visit(self, f) calls f(name, member) for each, always in the same order.
template <class M>
concept Composite = requires(M& m) { std::remove_const_t<M>::visit(m, detail::Ignore{}); };

/// A linear map that adapters, scores and masks know about: weight, bias, adapter.
template <class P>
concept IsProjection = requires(P& p) {
  p.weight;
  p.bias;
  p.adapter;
};

/// Calls f(path, node) for every named member below m, parents first. Paths are the checkpoint's tensor names.
template <class M, class F>
void walk(M& m, F&& f, const std::string& path = "") {
  std::remove_const_t<M>::visit(m, [&](const std::string& name, auto& node) {
    const std::string here = path.empty() ? name : name.empty() ? path : path + "." + name;
    f(here, node);
    if constexpr (Composite<std::remove_reference_t<decltype(node)>>) walk(node, f, here);
  });
}

/// f(path, parameter) for everything that is trained.
template <class M, class F>
void for_each_parameter(M& m, F&& f) {
  walk(m, [&](const std::string& path, auto& node) {
    if constexpr (detail::is_parameter<std::remove_cvref_t<decltype(node)>>) f(path, node);
  });
}
/// f(path, projection) for every linear map.
template <class M, class F>
void for_each_projection(M& m, F&& f) {
  walk(m, [&](const std::string& path, auto& node) {
    if constexpr (IsProjection<std::remove_cvref_t<decltype(node)>>) f(path, node);
  });
}
/// f(path, map) for every linear map that is trained as a whole: the heads of tasks.
template <class M, class F>
void for_each_trained(M& m, F&& f) {
  walk(m, [&](const std::string& path, auto& node) {
    if constexpr (requires { node.weight.grad; node.bias.grad; }) f(path, node);
  });
}
/// f(path, tensor) for everything that is frozen: what a checkpoint of the base model holds.
template <class M, class F>
void for_each_tensor(M& m, F&& f) {
  walk(m, [&](const std::string& path, auto& node) {
    if constexpr (detail::is_tensor<std::remove_cvref_t<decltype(node)>>) f(path, node);
  });
}

/// How many numbers the base model holds; adapters not included.
template <class M>
Index count_parameters(M& m) {
  Index n = 0;
  for_each_tensor(m, [&](const std::string&, auto& t) { n += t.size(); });
  return n;
}
/// How many numbers are trained.
template <class M>
Index count_trainable(M& m) {
  Index n = 0;
  for_each_parameter(m, [&](const std::string&, auto& p) { n += p.size(); });
  return n;
}

}  // namespace espalier::inline v0
