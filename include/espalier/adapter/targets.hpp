// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/view.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0 {

/// Whether a linear map is among those that adapters are asked for: its path equals an entry or ends in "." + entry, or
/// there is no entry.
inline bool is_target(const std::vector<std::string>& targets, std::string_view path) {
  if (targets.empty()) return true;
  for (const std::string& t : targets)
    if (path == t || (path.size() > t.size() && path.ends_with(t) && path[path.size() - t.size() - 1] == '.')) return true;
  return false;
}

}  // namespace espalier::inline v0
