// SPDX-License-Identifier: MIT
#include "verbs.hpp"
namespace espalier::tool {
int demo(const Request&, const Console&) { return 1; }
}  // namespace espalier::tool
