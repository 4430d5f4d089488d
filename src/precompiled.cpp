// SPDX-License-Identifier: MIT
// The products of the CPU backend, compiled once. Programs that link espalier::precompiled skip their instantiation.
#undef ESPALIER_PRECOMPILED
#include <espalier/backend/cpu.hpp>

namespace espalier::inline v0::detail {
#define ESPALIER_PRODUCT(T, W) \
  template void multiply<T, W>(T, View<const T, 2>, View<const W, 2>, T, View<T, 2>); \
  template void multiply_tile<T, W>(T, View<const T, 2>, View<const W, 2>, T, View<T, 2>);
ESPALIER_PRODUCT(float, float)
ESPALIER_PRODUCT(float, BFloat16)
ESPALIER_PRODUCT(double, double)
}  // namespace espalier::inline v0::detail
