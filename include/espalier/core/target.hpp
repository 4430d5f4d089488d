// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::inline v0 {

/// Targets with this value are not learnt and not counted, as everywhere in the field.
inline constexpr int kIgnore = -100;

}  // namespace espalier::inline v0
