// SPDX-License-Identifier: MIT
// The products of the CPU backend, compiled once. Programs that link espalier::precompiled skip their instantiation.
#undef ESPALIER_PRECOMPILED
#include <espalier/backend/cpu.hpp>

namespace espalier::inline v0::detail {
template void multiply<float>(float, View<const float, 2>, View<const float, 2>, float, View<float, 2>);
template void multiply<double>(double, View<const double, 2>, View<const double, 2>, double, View<double, 2>);
template void multiply_add<float>(float, View<const float, 2>, View<const float, 2>, View<float, 2>);
template void multiply_add<double>(double, View<const double, 2>, View<const double, 2>, View<double, 2>);
}  // namespace espalier::inline v0::detail
