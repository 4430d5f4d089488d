// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/parameter.hpp>
#include <espalier/core/tensor.hpp>
#include <string>
#include <tuple>
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
void walk(M& m, const F& f, const std::string& path = "") {
  std::remove_const_t<M>::visit(m, [&](const std::string& name, auto& node) {
    const std::string here = path.empty() ? name : name.empty() ? path : path + "." + name;
    f(here, node);
    if constexpr (Composite<std::remove_reference_t<decltype(node)>>) walk(node, f, here);
  });
}

namespace detail {

/// Some F behind a type that does not name it, for nodes of these types; others are passed over. So a model is walked by
/// one function a kind of node, not by one for every caller: it was a large part of what compiling a model cost.
template <class... Nodes>
class AnyOf {
 public:
  template <class F>
  explicit AnyOf(F& f)
      : f_(&f), calls_{+[](const void* g, const std::string& path, Nodes& node) {
          (*static_cast<F*>(const_cast<void*>(g)))(path, node);
        }...} {}

  template <class X>
  void operator()(const std::string& path, X& node) const {
    static_assert((std::is_same_v<X, Nodes> || ...) || !is_tensor<std::remove_const_t<X>> || !(is_tensor<std::remove_const_t<Nodes>> || ...),
                  "a tensor that is not in the list of for_each_tensor");
    if constexpr ((std::is_same_v<X, Nodes> || ...)) std::get<first<X>()>(calls_)(f_, path, node);
  }

 private:
  template <class X>
  static constexpr std::size_t first() {
    std::size_t at = 0;
    static_cast<void>(((std::is_same_v<X, Nodes> || (++at, false)) || ...));
    return at;
  }
  const void* f_;
  std::tuple<void (*)(const void*, const std::string&, Nodes&)...> calls_;
};

template <class M>
struct Kinds {};  // of a part that does not say its device
template <class D, class M>
struct KindsOn {
  template <class X>
  using Same = std::conditional_t<std::is_const_v<M>, const X, X>;
  using W = typename D::Weight;
  using A = typename D::Accumulate;
  using Parameters = AnyOf<Same<Parameter<D>>>;
  using Tensors = AnyOf<Same<Tensor<D, W, 2>>, Same<Tensor<D, A, 1>>, Same<Tensor<D, A, 2>>>;
};
template <class M>
  requires requires { typename M::DeviceType; }
struct Kinds<M> : KindsOn<typename M::DeviceType, M> {};
template <class M>
  requires(requires { typename M::Projection; } && !requires { typename M::DeviceType; })
struct Kinds<M> : KindsOn<typename M::Projection::DeviceType, M> {};

}  // namespace detail

/// f(path, parameter) for everything that is trained.
template <class M, class F>
void for_each_parameter(M& m, F&& f) {
  if constexpr (requires { typename detail::Kinds<M>::Parameters; }) {
    walk(m, typename detail::Kinds<M>::Parameters(f));
  } else {
    walk(m, [&](const std::string& path, auto& node) {
      if constexpr (detail::is_parameter<std::remove_cvref_t<decltype(node)>>) f(path, node);
    });
  }
}
/// f(path, projection) for every linear map.
template <class M, class F>
void for_each_projection(M& m, F&& f) {
  if constexpr (requires { typename M::Projection; }) {
    using P = std::conditional_t<std::is_const_v<M>, const typename M::Projection, typename M::Projection>;
    walk(m, detail::AnyOf<P>(f));
  } else {
    walk(m, [&](const std::string& path, auto& node) {
      if constexpr (IsProjection<std::remove_cvref_t<decltype(node)>>) f(path, node);
    });
  }
}
/// f(path, map) for every linear map that is trained as a whole: the heads of tasks.
template <class M, class F>
void for_each_trained(M& m, F&& f) {
  if constexpr (requires { typename M::Trained; }) {
    walk(m, detail::AnyOf<std::conditional_t<std::is_const_v<M>, const typename M::Trained, typename M::Trained>>(f));
  } else {
    walk(m, [&](const std::string& path, auto& node) {
      if constexpr (requires { node.weight.grad; node.bias.grad; }) f(path, node);
    });
  }
}
/// f(path, tensor) for everything that is frozen.
template <class M, class F>
void for_each_tensor(M& m, F&& f) {
  if constexpr (requires { typename detail::Kinds<M>::Tensors; }) {
    walk(m, typename detail::Kinds<M>::Tensors(f));
  } else {
    walk(m, [&](const std::string& path, auto& node) {
      if constexpr (detail::is_tensor<std::remove_cvref_t<decltype(node)>>) f(path, node);
    });
  }
}
/// f(path, tensor) for all that a file of the model holds: what is frozen, and then the maps that are trained as a whole.
template <class M, class F>
void for_each_stored(M& m, F&& f) {
  for_each_tensor(m, f);
  for_each_trained(m, [&](const std::string& path, auto& map) { f(path + ".weight", map.weight), f(path + ".bias", map.bias); });
}

/// How many numbers a file of the model holds: the head of a task included, adapters not.
template <class M>
Index count_parameters(M& m) {
  Index n = 0;
  for_each_stored(m, [&](const std::string&, auto& t) { n += t.size(); });
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
