// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

namespace espalier::tool {

/// Rows of texts in aligned columns: the first to the left, the others to the right.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  bool left = false;  ///< all columns to the left

  std::string text() const;
};

}  // namespace espalier::tool
