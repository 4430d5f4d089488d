// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

namespace espalier::tool {

/// The words in a row, with something between them.
inline std::string joined(const std::vector<std::string>& words, const char* between = ", ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

}  // namespace espalier::tool
