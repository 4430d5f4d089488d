// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::inline v0::text {

/// What words became, to be had again. A word has one slot and whoever comes later takes it, so that the memory is
/// bounded and no choice of words makes looking slow.
class WordCache {
 public:
  static constexpr std::size_t longest = 64;  ///< bytes of a word worth keeping

  struct Slot {
    std::string word;
    std::vector<int> ids;
  };
  /// The slot of this word; it holds the word if `slot.word == word`. Null for one that is too long.
  Slot* slot(std::string_view word) {
    if (word.size() > longest || word.empty()) return nullptr;
    if (slots_.empty()) slots_.resize(std::size_t{1} << 15);
    return &slots_[std::hash<std::string_view>()(word) >> 7 & (slots_.size() - 1)];
  }

 private:
  std::vector<Slot> slots_;
};

}  // namespace espalier::inline v0::text
