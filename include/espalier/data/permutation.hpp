// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <cstdint>
#include <espalier/core/random.hpp>

namespace espalier::inline v0 {

/// An order of n things, a pure function of (seed, which): nothing is stored, and any place can be asked for at any
/// time. Six rounds of a Feistel network on the next even number of bits; results that are too large go round again.
///                                                                           Luby & Rackoff 1988; Black & Rogaway 2002
struct Permutation {
  std::uint64_t n;
  std::uint64_t seed;
  std::uint32_t which = 0;

  std::uint64_t operator()(std::uint64_t i) const {
    const auto half = static_cast<unsigned>(std::bit_width(n - 1) + 1) / 2;
    const std::uint64_t low = (std::uint64_t{1} << half) - 1;
    do {
      std::uint64_t left = i >> half, right = i & low;
      for (std::uint32_t round = 0; round < 6; ++round) {
        const auto word = Philox::of(static_cast<std::uint32_t>(right), round, which,
                                     static_cast<std::uint32_t>(Purpose::data) << 24, static_cast<std::uint32_t>(seed),
                                     static_cast<std::uint32_t>(seed >> 32));
        const std::uint64_t mixed = (left ^ word.word[0]) & low;
        left = right, right = mixed;
      }
      i = left << half | right;
    } while (i >= n);
    return i;
  }
};

}  // namespace espalier::inline v0
