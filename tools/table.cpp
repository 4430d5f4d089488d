// SPDX-License-Identifier: MIT
#include "table.hpp"

#include <algorithm>

namespace espalier::tool {
namespace {

/// Characters, not bytes, of a UTF-8 text.
std::size_t length(const std::string& text) {
  return std::size_t(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> width;
  const auto measure = [&](const std::vector<std::string>& row) {
    if (width.size() < row.size()) width.resize(row.size());
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], length(row[c]));
  };
  measure(head);
  for (const auto& row : rows) measure(row);
  std::string out;
  const auto write = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string gap(width[c] - length(row[c]), ' ');
      if (c > 0) line += "  ";
      line += c == 0 || left ? row[c] + gap : gap + row[c];
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  };
  if (!head.empty()) write(head);
  for (const auto& row : rows) write(row);
  return out;
}

}  // namespace espalier::tool
