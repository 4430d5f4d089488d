// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include <espalier/core/config.hpp>
#include <espalier/data/permutation.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0 {

/// Where batches come from. What makes up an optimizer step is a function of the data, the settings and the number of the
/// step alone, so that this number is the cursor: a run that is taken up there sees what it would have seen.
template <class S>
concept BatchSource = std::copy_constructible<S> && requires(S& s, const S& c, Index i) {
  typename S::Batch;
  { c.steps() } -> std::same_as<Index>;            // optimizer steps that are asked for
  { c.accumulate() } -> std::same_as<Index>;       // batches to an optimizer step
  s.prepare(i);                                    // makes the batches of step i
  { c[i] } -> std::same_as<typename S::Batch>;     // batch number i of the step that was prepared
  { c.drawn_per_step() } -> std::same_as<Index>;   // windows or examples
  { c.tokens_per_step() } -> std::same_as<Index>;  // fed in the step that was prepared, padding included
  { c.hash() } -> std::same_as<std::string>;       // SHA-256 of what is learnt from
  { c.settings() } -> std::same_as<json::Value>;   // what else decides about the bits of a batch
};

/// Number i of an endless list of epochs: which of n things, and in which epoch.
struct EpochOrder {
  Index n;
  std::uint64_t seed;
  bool shuffle;

  struct Drawn {
    Index which;
    std::uint32_t epoch;
  };
  Drawn operator()(Index i) const {
    const auto all = std::uint64_t(n), epoch = std::uint64_t(i) / all, at = std::uint64_t(i) % all;
    const auto e = std::uint32_t(epoch);
    return {Index(shuffle ? Permutation{all, seed, e}(at) : at), e};
  }
};

/// for (Batch batch : source) …         a batch is valid until the next
template <class Source>
class BatchIterator {
 public:
  using value_type = typename Source::Batch;
  using difference_type = std::ptrdiff_t;
  BatchIterator(Source* all, Index step) : all_(all), step_(step) {
    if (step_ < all_->steps()) all_->prepare(step_);
  }
  value_type operator*() const { return (*all_)[micro_]; }
  BatchIterator& operator++() {
    if (++micro_ < all_->accumulate()) return *this;
    micro_ = 0;
    if (++step_ < all_->steps()) all_->prepare(step_);
    return *this;
  }
  friend bool operator==(const BatchIterator& a, const BatchIterator& b) {
    return a.step_ == b.step_ && a.micro_ == b.micro_;
  }

 private:
  Source* all_;
  Index step_, micro_ = 0;
};

}  // namespace espalier::inline v0
