// SPDX-License-Identifier: MIT
// Properties that are types' own business: checked by compiling.
#include <espalier/backend/cpu.hpp>
#include <espalier/core/backend.hpp>
#include <espalier/core/dtype.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/view.hpp>
#include <type_traits>

namespace espalier {

// Views go to kernels by value, on any device.
static_assert(std::is_trivially_copyable_v<View<float, 2>>);
static_assert(std::is_standard_layout_v<View<float, 2>>);
static_assert(std::is_aggregate_v<View<float, 3>>);
static_assert(std::is_convertible_v<View<float, 2>, View<const float, 2>>);
static_assert(!std::is_convertible_v<View<const float, 2>, View<float, 2>>);

// Storage types are exactly their bits: tensors of files are read in place.
static_assert(sizeof(BFloat16) == 2 && std::is_trivially_copyable_v<BFloat16>);
static_assert(sizeof(Half) == 2 && std::is_trivially_copyable_v<Half>);
static_assert(std::is_convertible_v<BFloat16, float> && !std::is_convertible_v<float, BFloat16>);

static_assert(sizeof(Index) == 8 && std::is_signed_v<Index>);
static_assert(std::is_nothrow_copy_constructible_v<Errc> && std::is_base_of_v<std::exception, Error>);

static_assert(Backend<Cpu<float>>);
static_assert(!Backend<int>);

}  // namespace espalier
