// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/nn/group.hpp>
#include <string>
#include <string_view>

namespace espalier::tool {

/// A word of --granularity for units that leave for good; every other word is a pattern of single weights.
struct UnitWord {
  std::string_view word;
  Granularity granularity;
  bool even;
  std::string_view what;  ///< leaves, in words
  bool heads = true, channels = true;  ///< of a layer, which of them may leave
};
inline constexpr UnitWord unit_words[] = {
    {"groups", Granularity::groups, true, "heads and channels"},
    {"heads", Granularity::groups, true, "heads", true, false},
    {"channels", Granularity::groups, true, "channels", false, true},
    {"queries", Granularity::queries, true, "query heads and channels"},
    {"queries-free", Granularity::queries, false, "query heads and channels"},
    {"layers", Granularity::layers, true, "layers"},
    {"hidden", Granularity::hidden, true, "channels of the residual stream"},
};
/// Nothing where single weights are meant.
inline const UnitWord* find_unit_word(std::string_view word) {
  for (const UnitWord& w : unit_words)
    if (w.word == word) return &w;
  return nullptr;
}

}  // namespace espalier::tool
