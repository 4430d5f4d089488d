// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/block_select.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/weight_select.hpp>
#include <espalier/nn/weight_rows.hpp>
#include <espalier/prune/weight_pattern.hpp>
#include <span>

namespace espalier::inline v0 {

/// One weight whose bits are to be chosen. All of it is on the device.
struct WeightChoice {
  Index out = 0, in = 0;
  View<const std::uint32_t, 2> gone{};    ///< (out, words): what is 0 here leaves before anything else; no data: nothing
  Index already = 0;                      ///< how many that are
  View<std::uint32_t, 2> chosen{};        ///< (out, words): the bits
  int* bad = nullptr;                     ///< becomes 1 where a score is not finite; the bits mean nothing then
};

/// Chooses single weights, or blocks of them by the mean of their scores. Of equal scores the lower index leaves first: the
/// earlier weight, the upper row, the left column. Counts are exact; of blocks, as near as they can be chosen in that order.
///
/// Scores exist a few rows at a time and are asked for as often as needed: `scores(pass, n)` returns write(first, panel), which
/// writes those of rows first … of weight n. Over a whole projection or model that is once a digit of a radix selection and
/// once more for the bits, so that no second number per weight is ever stored. Everything happens on the device, and nobody
/// waits.
template <Backend Device>
class WeightSelection {
 public:
  using A = typename Device::Accumulate;

  WeightSelection(Pass<Device>& pass, const WeightPattern& pattern) : pass_(pass), pattern_(pattern) {}

  /// Of several weights: within the model they compete with each other, otherwise each is for itself.
  template <class Scores>
  void choose(std::span<const WeightChoice> all, double share, Scores&& scores) {
    const bool together = pattern_.within == Within::model && pattern_.kind != WeightPattern::Kind::n_of_m;
    for (std::size_t first = 0; first < all.size(); first = together ? all.size() : first + 1) {
      const auto some = together ? all : all.subspan(first, 1);
      auto scratch = pass_.scratch();
      const Run<Scores> run{scratch, pattern_, some, first, share, scores};
      if (pattern_.kind == WeightPattern::Kind::n_of_m) run.of_groups();
      else if (pattern_.kind == WeightPattern::Kind::blocks) run.of_blocks();
      else if (pattern_.within == Within::row) run.of_rows();
      else run.of_all();
    }
  }

 private:
  template <class Scores>
  struct Run {
    Pass<Device>& pass;
    const WeightPattern& pattern;
    std::span<const WeightChoice> all;
    std::size_t number;  // of the first, for scores
    double share;
    Scores& scores;

    /// f(choice, first, panel of scores) for some rows at a time of every weight.
    template <class F>
    void panels(F&& f) const {
      for (std::size_t c = 0; c < all.size(); ++c) {
        const WeightChoice& choice = all[c];
        const Index step = panel_rows(choice.out, choice.in);
        auto scratch = pass.scratch();
        const auto write = scores(scratch, number + c);
        const auto panel = scratch.template matrix<A>(step, choice.in);
        for (Index i = 0; i < choice.out; i += step) {
          const auto some = panel.rows(0, std::min(step, choice.out - i));
          write(i, some);
          pass.device.for_each_row(1, kernel::NotFinite<A>{flat(View<const A, 2>(some)), choice.bad});
          if (choice.gone)
            pass.device.for_each_row(some.rows(), kernel::GoneFirst<A>{choice.gone.rows(i, some.rows()), some});
          f(scratch, choice, i, View<const A, 2>(some));
        }
      }
    }
    View<std::uint8_t, 2> flags(Pass<Device>& scratch, View<const A, 2> like) const {
      return scratch.template matrix<std::uint8_t>(like.rows(), like.cols());
    }
    void pack(const WeightChoice& choice, Index first, View<const std::uint8_t, 2> removed) const {
      pass.device.for_each_row(removed.rows(), kernel::PackKept{removed, choice.chosen.rows(first, removed.rows())});
    }

    void of_rows() const {
      panels([&](Pass<Device>& outer, const WeightChoice& choice, Index first, View<const A, 2> score) {
        auto scratch = outer.scratch();
        const auto removed = flags(scratch, score);
        const Index k = WeightPattern::count(choice.in, share);
        pass.device.for_each_row(score.rows(), kernel::LowestOfRow<A>{score, k, removed});
        pack(choice, first, removed);
      });
    }
    void of_groups() const {
      const Index k = std::min(WeightPattern::count(pattern.m, share), pattern.m - pattern.n);
      panels([&](Pass<Device>& outer, const WeightChoice& choice, Index first, View<const A, 2> score) {
        auto scratch = outer.scratch();
        const auto removed = flags(scratch, score);
        pass.device.for_each_row(score.rows(), kernel::LowestOfGroups<A>{score, pattern.m, k, removed});
        pack(choice, first, removed);
      });
    }
    void of_all() const {
      Index n = 0, already = 0;
      for (const WeightChoice& c : all) n += c.out * c.in, already += c.already;
      const auto parts = [&](auto&& f) {
        panels([&](Pass<Device>& outer, const WeightChoice& choice, Index first, View<const A, 2> score) {
          f(outer, flat(score), kernel::Singles{}, choice, first);
        });
      };
      const auto take = [&](View<std::uint8_t, 1> removed, const WeightChoice& choice, Index first) {
        pack(choice, first, matrix(removed.data, removed.shape[0] / choice.in, choice.in));
      };
      lowest<kernel::Singles>(std::max(already, WeightPattern::count(n, share)), parts, take);
    }
    void of_blocks() const {
      Index blocks = 0, n = 0, already = 0;
      for (const WeightChoice& c : all) blocks += grid(c).count(), n += c.out * c.in, already += c.already;
      const auto means = pass.zeros(blocks);
      const auto own = [&](const WeightChoice& choice) {
        Index before = 0;
        for (const WeightChoice* c = all.data(); c != &choice; ++c) before += grid(*c).count();
        return vector(means.data + before, grid(choice).count());
      };
      panels([&](Pass<Device>&, const WeightChoice& choice, Index first, View<const A, 2> score) {
        const auto of = grid(choice);
        const kernel::BlockSums<A> kernel{score, first, of.height, of.width,
                                          matrix(own(choice).data, of.count() / of.across(), of.across())};
        pass.device.for_each_row(kernel.blocks(), kernel);
      });
      for (const WeightChoice& c : all) pass.device.for_each(grid(c).count(), kernel::MeanOfBlock<A>{grid(c), own(c).data});
      const auto parts = [&](auto&& f) {
        for (const WeightChoice& c : all) f(pass, View<const A, 1>(own(c)), kernel::TwiceTheWeights{grid(c)}, c);
      };
      const auto take = [&](View<std::uint8_t, 1> removed, const WeightChoice& c) {
        const auto of = grid(c);
        const auto bits = matrix(removed.data, of.count() / of.across(), of.across());
        pass.device.for_each_row(c.out, kernel::KeepBlocks{bits, of.height, of.width, c.in, c.chosen});
      };
      lowest<kernel::TwiceTheWeights>(std::max(2 * already, WeightPattern::twice(n, share)), parts, take);
    }
    kernel::BlockGrid grid(const WeightChoice& c) const {
      return {c.out, c.in, pattern.block_height(c.out), pattern.block_width(c.in)};
    }

    /// Radix selection, a digit of 8 bits at a time, among scores that are there part by part: parts(f) calls f(pass, scores,
    /// size, place...) for every part, as often as it is asked, and take(removed, place...) is told which of them leave.
    template <class Size, class Parts, class Take>
    void lowest(Index k, const Parts& parts, const Take& take) const {
      using Count = typename Size::Count;
      constexpr Index digits = kernel::DigitCounts<A, Size>::kDigits;
      const auto total = pass.template matrix<Index>(1, digits);
      const auto threshold = pass.template vector<kernel::Threshold<A>>(1).data;
      const auto counted = [&](Pass<Device>& scratch, View<const A, 1> score, const Size& size, int shift) {
        const Index chunks = kernel::Chunks{score.shape[0]}.count();
        const auto counts = scratch.template matrix<Count>(chunks, digits);
        pass.device.for_each_row(chunks, kernel::DigitCounts<A, Size>{score, threshold, shift, counts, size});
        return View<const Count, 2>(counts);
      };
      for (int shift = 8 * int(sizeof(A)) - 8; shift >= 0; shift -= 8) {
        pass.device.for_each(digits, kernel::Fill<Index>{total.data, 0});
        parts([&](Pass<Device>& outer, View<const A, 1> score, const Size& size, const auto&...) {
          auto scratch = outer.scratch();
          pass.device.for_each_row(1, kernel::AddCounts<Count>{counted(scratch, score, size, shift), total});
        });
        pass.device.for_each_row(1, kernel::ChooseDigit<A, Index>{total, shift, k, threshold});
      }
      parts([&](Pass<Device>& outer, View<const A, 1> score, const Size& size, const auto&... place) {
        auto scratch = outer.scratch();
        const auto removed = scratch.template vector<std::uint8_t>(score.shape[0]);
        const auto counts = counted(scratch, score, size, 0);
        pass.device.for_each_row(counts.rows(), kernel::RemoveLowest<A, Size>{score, threshold, counts, removed, size});
        pass.device.for_each_row(1, kernel::SpendEquals<A, Count>{counts, threshold});
        take(removed, place...);
      });
    }
  };

  Pass<Device>& pass_;
  WeightPattern pattern_;
};

}  // namespace espalier::inline v0
