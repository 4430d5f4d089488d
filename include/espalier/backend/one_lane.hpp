// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>

namespace espalier::inline v0 {

/// Neighbouring numbers that are computed with at once: here, one.
template <class T>
struct OneLane {
  T x;
  template <class W>
  ESPALIER_FN static OneLane load(const W* p) {
    return {widen<T>(*p)};
  }
  ESPALIER_FN void store(T* p) const { *p = x; }
  ESPALIER_FN friend OneLane operator+(OneLane a, OneLane b) { return {a.x + b.x}; }
  ESPALIER_FN friend OneLane operator*(OneLane a, OneLane b) { return {a.x * b.x}; }
  ESPALIER_FN friend OneLane operator*(T a, OneLane b) { return {a * b.x}; }
  ESPALIER_FN friend OneLane abs(OneLane a) { return {a.x < T(0) ? -a.x : a.x}; }
};

}  // namespace espalier::inline v0
