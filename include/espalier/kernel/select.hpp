// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <cstdint>
#include <espalier/core/view.hpp>
#include <type_traits>

// The k lowest of n scores, by digits of 8 bits from the top (radix select): a histogram a chunk, a choice of the digit, and
// in the end a mask. What has been found so far stays on the device.                    Alabi, Blanchard, Gordon & Steinbach 2012
namespace espalier::inline v0::kernel {

/// Unsigned numbers in the order of the scores: −0 is 0, and what is not a number comes last.
template <class A>
using OrderedKey = std::conditional_t<sizeof(A) == 4, std::uint32_t, std::uint64_t>;
template <class A>
ESPALIER_FN OrderedKey<A> ordered_key(A x) {
  using Key = OrderedKey<A>;
  static_assert(std::is_floating_point_v<A> && sizeof(A) == sizeof(Key));
  constexpr Key sign = Key(1) << (8 * sizeof(Key) - 1);
  if (x != x) return Key(~Key(0));
  const Key bits = std::bit_cast<Key>(x == A(0) ? A(0) : x);
  return (bits & sign) != 0 ? Key(~bits) : Key(bits | sign);
}

/// n numbers in chunks, a function of n alone: few enough that one team looks at the counts of all.
struct Chunks {
  static constexpr Index kLeast = 4096, kMost = 1024;
  Index n;
  ESPALIER_FN Index length() const {
    const Index even = (n + kMost - 1) / kMost;
    return even < kLeast ? kLeast : even;
  }
  ESPALIER_FN Index count() const { return (n + length() - 1) / length(); }
  ESPALIER_FN Index first(Index c) const { return c * length(); }
  ESPALIER_FN Index size(Index c) const { return first(c) + length() < n ? length() : n - first(c); }
};

/// The k-th lowest key as far as it is known: its upper digits, and how many of those that share them are among the k.
/// With all digits known: how many of the scores equal to it are.
template <class A>
struct Threshold {
  OrderedKey<A> key;
  Index among;
};

/// What a score stands for: itself alone. Where scores stand for several things each, k counts those.
struct Singles {
  using Count = std::uint32_t;
  ESPALIER_FN Index operator()(Index) const { return 1; }
};

// counts(c, d) = Σ size(i) of the keys of chunk c that agree with the threshold above `shift` and have digit d there, per
// chunk.
template <class A, class Size = Singles>
struct DigitCounts {
  using Key = OrderedKey<A>;
  using Count = typename Size::Count;
  static constexpr Index kDigits = 256, kSlots = 128 / Index(sizeof(Count)), kMembers = 32;
  View<const A, 1> score;         // (n)
  const Threshold<A>* threshold;  // not read for the top digit: nothing is known yet
  int shift;
  View<Count, 2> counts;  // (chunks, digits)
  Size size{};

  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return kSlots * kDigits * Index(sizeof(Count)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index c) const {
    const Chunks chunks{score.shape[0]};
    const Index first = chunks.first(c), n = chunks.size(c);
    const bool top = shift + 8 == int(8 * sizeof(Key));
    const Key above = top ? Key(0) : Key(~Key(0) << ((shift + 8) % int(8 * sizeof(Key)))),
              known = top ? Key(0) : Key(threshold->key & above);
    Count* const slots = team.template scratch<Count>(scratch_bytes());
    team.each(kSlots * kDigits, [&](Index l) { slots[l] = 0; });
    team.each(kSlots, [&](Index s) {  // a histogram of its own for every slot
      Count* const own = slots + s * kDigits;
      for (Index i = s; i < n; i += kSlots) {
        const Key key = ordered_key(score(first + i));
        if ((key & above) == known) own[(key >> shift) & 255u] += Count(size(first + i));
      }
    });
    team.each(kDigits, [&](Index d) {
      Count sum = 0;
      for (Index s = 0; s < kSlots; ++s) sum += slots[s * kDigits + d];
      counts(c, d) = sum;
    });
  }
};

// The digit in which the k-th lowest key lies. One row.
template <class A, class Count = std::uint32_t>
struct ChooseDigit {
  static constexpr Index kDigits = DigitCounts<A>::kDigits;
  View<const Count, 2> counts;  // (chunks, digits)
  int shift;
  Index k;  // of the top digit; afterwards the threshold knows
  Threshold<A>* threshold;

  ESPALIER_FN Index width() const { return kDigits; }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return kDigits * Index(sizeof(Index)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    using Key = OrderedKey<A>;
    Index* const totals = team.template scratch<Index>(scratch_bytes());
    team.each(kDigits, [&](Index d) {
      Index sum = 0;
      for (Index c = 0; c < counts.rows(); ++c) sum += Index(counts(c, d));
      totals[d] = sum;
    });
    team.once([&] {
      const bool top = shift + 8 == int(8 * sizeof(Key));
      Index left = top ? k : threshold->among, digit = 0;
      while (digit + 1 < kDigits && left > totals[digit]) left -= totals[digit++];
      *threshold = {Key((top ? Key(0) : threshold->key) | Key(Key(digit) << shift)), left};
    });
  }
};

/// mark(i) for the first `wanted` of those i below n that are equal, by parts in order: each counts its own, then goes on
/// from what lies before. Where one is several, it is marked if its middle lies among the wanted. For a kernel with scratch
/// for kEqualSlots numbers.
inline constexpr Index kEqualSlots = 32;
template <class Team, class Size, class Equal, class Mark>
ESPALIER_FN void first_equals(Team& team, Index n, Index wanted, Size size, Equal is_equal, Mark mark) {
  Index* const equal = team.template scratch<Index>(kEqualSlots * Index(sizeof(Index)));
  const Index part = (n + kEqualSlots - 1) / kEqualSlots;
  team.each(kEqualSlots, [&](Index s) {
    equal[s] = 0;
    for (Index i = s * part; i < n && i < (s + 1) * part; ++i) equal[s] += is_equal(i) ? size(i) : 0;
  });
  team.each(kEqualSlots, [&](Index s) {
    Index left = wanted;
    for (Index r = 0; r < s; ++r) left -= equal[r];
    for (Index i = s * part; i < n && i < (s + 1) * part && left > 0; ++i)
      if (is_equal(i)) {
        if ((size(i) + 1) / 2 <= left) mark(i);
        left -= size(i);
      }
  });
}

// removed(i) = score(i) is below the threshold, or equal to it and among the first of those by index; per chunk.
// counts are those of the last digit, so that the threshold's own counts its equals.
template <class A, class Size = Singles>
struct RemoveLowest {
  View<const A, 1> score;  // (n)
  const Threshold<A>* threshold;
  View<const typename Size::Count, 2> counts;  // (chunks, digits)
  View<std::uint8_t, 1> removed;               // (n)
  Size size{};

  ESPALIER_FN Index width() const { return Chunks{score.shape[0]}.length(); }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return kEqualSlots * Index(sizeof(Index)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index c) const {
    const Chunks chunks{score.shape[0]};
    const Index first = chunks.first(c), n = chunks.size(c);
    const auto key = threshold->key;
    const auto digit = Index(key & 255u);
    const Index before = team.sum(c, [&](Index e) { return Index(counts(e, digit)); });
    const Index here = Index(counts(c, digit)), wanted = threshold->among - before;
    const bool all = wanted >= here;
    team.each(n, [&](Index i) {
      const auto own = ordered_key(score(first + i));
      removed(first + i) = own < key || (all && own == key) ? 1 : 0;
    });
    if (all || wanted <= 0) return;
    // At most one chunk keeps some of its equals.
    first_equals(team, n, wanted, [&](Index i) { return size(first + i); },
                 [&](Index i) { return ordered_key(score(first + i)) == key; }, [&](Index i) { removed(first + i) = 1; });
  }
};

/// How many of a rest of m leave where k of each m do: as many as come near to that share, ½ rounded up.
ESPALIER_FN inline Index leaving_of_rest(Index rest, Index m, Index k) { return (2 * rest * k + m) / (2 * m); }

}  // namespace espalier::inline v0::kernel
