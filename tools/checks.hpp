// SPDX-License-Identifier: MIT
#pragma once
#include "settings.hpp"

namespace espalier::tool {

/// Refuses values that make no sense, alone or together.
void check(const Request& request);
/// Refuses the criterion that is set where what is set beside it rules it out.
void check_criterion(const Request& request);

}  // namespace espalier::tool
