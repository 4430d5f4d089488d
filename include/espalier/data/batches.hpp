// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <espalier/core/target.hpp>
#include <espalier/core/batch.hpp>
#include <espalier/core/error.hpp>
#include <espalier/data/batch_source.hpp>
#include <espalier/data/token_list.hpp>

namespace espalier::inline v0 {

struct BatchOptions {
  Index size = 8;           ///< windows in a batch
  Index length = 256;       ///< tokens in a window
  Index steps = 0;          ///< optimizer steps; 0: once through the data
  std::uint64_t seed = 0;   ///< of the order
  bool shuffle = true;
  Index accumulate = 1;     ///< batches to an optimizer step
};

/// Windows of length + 1 tokens, each beginning where the one before ended, in an order that is new every epoch: what
/// is predicted at position i is token i + 1. Documents are cut into windows of their own and padded with targets that
/// do not count. Which windows make up a batch is a function of (seed, step) alone, so the number of the step is the
/// cursor.
///
///     for (Batch batch : batches) …         a batch is valid until the next
class Batches {
 public:
  using Batch = espalier::Batch;
  Batches(std::shared_ptr<const Tokens> tokens, const BatchOptions& o) : tokens_(std::move(tokens)), options_(o) {
    require(o.size > 0 && o.length > 0 && o.accumulate > 0 && o.steps >= 0,
            "batches: size {}, length {}, accumulate {}, steps {}; expected at least 1, 1, 1, 0", o.size, o.length,
            o.accumulate, o.steps);
    list_windows();
    if (options_.steps == 0) options_.steps = std::max<Index>(1, windows() / (o.size * o.accumulate));
    const auto n = std::size_t(o.accumulate * o.size * o.length);
    ids_.resize(n), targets_.resize(n);
  }

  const BatchOptions& options() const { return options_; }
  const Tokens& tokens() const { return *tokens_; }
  Index steps() const { return options_.steps; }
  Index accumulate() const { return options_.accumulate; }
  Index windows() const { return documents_.empty() ? stream_windows_ : Index(documents_.size()); }  ///< in an epoch
  double epochs(Index step) const { return double(step * options_.size * options_.accumulate) / double(windows()); }
  Index drawn_per_step() const { return options_.size * options_.accumulate; }
  Index tokens_per_step() const { return Index(ids_.size()); }
  std::string hash() const { return tokens_->hash(); }
  json::Value settings() const {
    return json::Value::object({{"size", options_.size}, {"length", options_.length}, {"accumulate", options_.accumulate},
                                {"seed", options_.seed}, {"shuffle", options_.shuffle}});
  }
  /// Refuses ids that a model of this configuration does not know.
  template <class Config>
  void check(const Config& config) const {
    tokens_->check(config.vocab);
  }

  /// Makes the batches of an optimizer step, 0 being the first.
  void prepare(Index step) {
    const Index per_step = options_.size * options_.accumulate, length = options_.length;
    for (Index k = 0; k < per_step; ++k)
      fill(window_at(step * per_step + k), ids_.data() + k * length, targets_.data() + k * length);
    counted_ = Index(targets_.size()) - std::count(targets_.begin(), targets_.end(), kIgnore);
  }
  /// Batch number k of the step that was prepared.
  Batch operator[](Index k) const {
    const auto n = std::size_t(options_.size * options_.length), at = std::size_t(k) * n;
    return {std::span(ids_).subspan(at, n), std::span(targets_).subspan(at, n), {options_.size, options_.length},
            counted_ > 0 ? 1 / double(counted_) : 0, std::uint32_t(k)};
  }
  /// Targets that count in the step that was prepared.
  Index counted() const { return counted_; }

  BatchIterator<Batches> begin() { return {this, 0}; }
  BatchIterator<Batches> end() { return {this, steps()}; }

 private:
  struct Window {
    Index first, last;  // ids that are fed; the target of id i is i + 1, of which the last one may not exist
  };

  void list_windows() {
    const Tokens& t = *tokens_;
    const Index length = options_.length;
    stream_windows_ = t.ends.empty() ? (t.size() - 1) / length : 0;
    for (Index d = 0; d < t.documents(); ++d)
      for (Index i = t.begin_of(d); i + 1 < t.ends[std::size_t(d)]; i += length)
        documents_.push_back({i, std::min(i + length, t.ends[std::size_t(d)] - 1)});
    if (windows() > 0) return;
    fail(Errc::bad_input, "{}: {} tokens are less than one window of {} + 1: give more text or a smaller length",
         t.source, t.size(), length);
  }

  Window window_at(Index sample) const {
    const auto w = EpochOrder{windows(), options_.seed, options_.shuffle}(sample).which;
    if (!documents_.empty()) return documents_[std::size_t(w)];
    return {w * options_.length, (w + 1) * options_.length};
  }

  void fill(Window w, int* ids, int* targets) const {
    const Index n = w.last - w.first;
    std::copy_n(tokens_->ids.begin() + w.first, n, ids);
    std::fill(ids + n, ids + options_.length, 0);
    for (Index i = 0; i < n; ++i) targets[i] = tokens_->label(w.first + i + 1);
    std::fill(targets + n, targets + options_.length, kIgnore);
  }

  std::shared_ptr<const Tokens> tokens_;
  BatchOptions options_;
  std::vector<Window> documents_;  // empty where there are none: windows are computed then
  Index stream_windows_ = 0, counted_ = 0;
  std::vector<int> ids_, targets_;  // (accumulate · size · length)
};

}  // namespace espalier::inline v0
