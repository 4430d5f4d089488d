// SPDX-License-Identifier: MIT
#pragma once
#include "settings.hpp"

namespace espalier::tool {

/// Refuses values that make no sense, alone or together.
void check(const Request& request);

}  // namespace espalier::tool
