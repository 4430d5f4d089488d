// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// Four random words, a pure function of counter and key.       Philox4x32-10: Salmon, Moraes, Dror & Shaw 2011
struct Philox {
  std::uint32_t word[4];

  ESPALIER_FN static constexpr Philox of(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
                                         std::uint32_t k0, std::uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
      c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c1 = static_cast<std::uint32_t>(p1);
      c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c3 = static_cast<std::uint32_t>(p0);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }
};

/// What a random number is for. Streams of different purposes never meet.
enum class Purpose : std::uint32_t { initialisation = 1, dropout = 2, importance = 3, data = 4, test = 5, masking = 6 };

/// A stream is (seed, purpose, which, step); its elements are indexed by meaning, never by thread or order.
struct RandomStream {
  std::uint64_t seed;
  Purpose purpose;
  std::uint32_t which = 0;  // below 2^24: e.g. the number of the adapter
  std::uint32_t step = 0;

  /// Word i of the stream.
  ESPALIER_FN std::uint32_t bits(std::uint64_t i) const {
    const auto block = Philox::of(static_cast<std::uint32_t>(i >> 2), static_cast<std::uint32_t>(i >> 34), step,
                                  which | (static_cast<std::uint32_t>(purpose) << 24),
                                  static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    return block.word[i & 3];
  }
  /// Uniform in (0, 1), a multiple of 2^-24: exact in float and double alike.
  ESPALIER_FN double uniform(std::uint64_t i) const { return ((bits(i) >> 9) + 0.5) * 0x1p-23; }
};

}  // namespace espalier::inline v0
