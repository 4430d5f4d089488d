// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/kernel/select.hpp>
#include <espalier/kernel/weight_mask.hpp>
#include <limits>

// Which single weights leave: scores of a few rows of a weight at a time become bits.
namespace espalier::inline v0::kernel {

// bad = 1 if one of the scores is not finite. One row.
template <class A>
struct NotFinite {
  View<const A, 1> score;  // (n)
  int* bad;

  ESPALIER_FN Index width() const { return score.shape[0]; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    const int wrong = team.max(score.shape[0], [&](Index i) { return score(i) - score(i) == A(0) ? 0 : 1; });
    team.once([&] {
      if (wrong) *bad = 1;
    });
  }
};

// score = −∞ where a weight is gone, so that it goes before any other, per row.
template <class A>
struct GoneFirst {
  View<const std::uint32_t, 2> bits;  // (rows, words)
  View<A, 2> score;                   // (rows, in)

  ESPALIER_FN Index width() const { return score.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint32_t* const row = bits.row(i);
    A* const si = score.row(i);
    team.each(score.cols(), [&](Index j) {
      if (!kept(row, j)) si[j] = -std::numeric_limits<A>::infinity();
    });
  }
};

// removed(i, j) = 1 for the k lowest scores of every row.
template <class A>
struct LowestOfRow {
  View<const A, 2> score;         // (rows, in)
  Index k;                        // 0 to in
  View<std::uint8_t, 2> removed;  // (rows, in)

  ESPALIER_FN Index width() const { return score.cols(); }
  /// Scratch of a team, in bytes.
  ESPALIER_FN Index scratch_bytes() const { return kEqualSlots * Index(sizeof(Index)); }

  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    using Key = OrderedKey<A>;
    const A* const si = score.row(i);
    std::uint8_t* const ri = removed.row(i);
    const Index n = score.cols();
    const auto below = [&](Key key) {
      return team.sum(n, [&](Index j) { return Index(ordered_key(si[j]) < key ? 1 : 0); });
    };
    Key key(0);  // the greatest that fewer than k lie below: the k-th lowest itself, bit by bit
    for (int bit = int(8 * sizeof(Key)) - 1; bit >= 0; --bit) {
      const Key candidate = Key(key | Key(Key(1) << bit));
      if (below(candidate) < k) key = candidate;
    }
    const Index wanted = k - below(key);
    const Index here = team.sum(n, [&](Index j) { return Index(ordered_key(si[j]) == key ? 1 : 0); });
    const bool all = wanted >= here;
    team.each(n, [&](Index j) {
      const Key own = ordered_key(si[j]);
      ri[j] = own < key || (all && own == key) ? 1 : 0;
    });
    if (all || wanted <= 0) return;
    first_equals(team, n, wanted, Singles{}, [&](Index j) { return ordered_key(si[j]) == key; }, [&](Index j) { ri[j] = 1; });
  }
};

// removed(i, j) = 1 for the k lowest of every m consecutive scores of a row, and for the same share of a shorter rest.
//                                                                                                 Zhou et al. 2021, N:M
template <class A>
struct LowestOfGroups {
  View<const A, 2> score;  // (rows, in)
  Index m, k;
  View<std::uint8_t, 2> removed;  // (rows, in)

  ESPALIER_FN Index width() const { return (score.cols() + m - 1) / m; }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const A* const si = score.row(i);
    std::uint8_t* const ri = removed.row(i);
    team.each(width(), [&](Index g) {
      const Index first = g * m, rest = score.cols() - first, n = rest < m ? rest : m, leaving = leaving_of_rest(n, m, k);
      for (Index j = first; j < first + n; ++j) {
        const auto own = ordered_key(si[j]);
        Index before = 0;
        for (Index l = first; l < first + n; ++l) {
          const auto other = ordered_key(si[l]);
          before += other < own || (other == own && l < j) ? 1 : 0;
        }
        ri[j] = before < leaving ? 1 : 0;
      }
    });
  }
};

// total(d) += Σ_c counts(c, d). One row.
template <class Count>
struct AddCounts {
  View<const Count, 2> counts;  // (chunks, digits)
  View<Index, 2> total;         // (1, digits)

  ESPALIER_FN Index width() const { return counts.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    team.each(counts.cols(), [&](Index d) {
      for (Index c = 0; c < counts.rows(); ++c) total(0, d) += Index(counts(c, d));
    });
  }
};

// Of the scores that equal the threshold so many have been removed: the rest is left for those that follow. One row.
template <class A, class Count = std::uint32_t>
struct SpendEquals {
  View<const Count, 2> counts;  // (chunks, digits), of the last digit
  Threshold<A>* threshold;

  ESPALIER_FN Index width() const { return counts.rows(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index) const {
    const auto digit = Index(threshold->key & 255u);
    const Index here = team.sum(counts.rows(), [&](Index c) { return Index(counts(c, digit)); });
    team.once([&] { threshold->among = threshold->among > here ? threshold->among - here : 0; });
  }
};

// bits of what is not removed, per row.
struct PackKept {
  View<const std::uint8_t, 2> removed;  // (rows, in)
  View<std::uint32_t, 2> bits;          // (rows, words)

  ESPALIER_FN Index width() const { return bits.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const std::uint8_t* const ri = removed.row(i);
    team.each(bits.cols(), [&](Index w) {
      const Index first = w * kBitsPerWord, rest = removed.cols() - first, n = rest < kBitsPerWord ? rest : kBitsPerWord;
      std::uint32_t word = 0;
      for (Index b = 0; b < n; ++b) word |= std::uint32_t(ri[first + b] ? 0 : 1) << b;
      bits(i, w) = word;
    });
  }
};

}  // namespace espalier::inline v0::kernel
