// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <espalier/core/target.hpp>
#include <espalier/core/batch.hpp>
#include <espalier/core/error.hpp>
#include <espalier/data/batch_source.hpp>
#include <espalier/data/packing.hpp>
#include <espalier/data/token_list.hpp>

namespace espalier::inline v0 {

struct BatchOptions {
  Index size = 8;           ///< windows in a batch
  Index length = 256;       ///< tokens in a window
  Index steps = 0;          ///< optimizer steps; 0: once through the data
  std::uint64_t seed = 0;   ///< of the order
  bool shuffle = true;
  Index accumulate = 1;     ///< batches to an optimizer step
  Packing packing = Packing::none;  ///< whether documents share a window
};

/// Windows of length + 1 tokens, each beginning where the one before ended, in an order that is new every epoch: what
/// is predicted at position i is token i + 1. Documents are cut into windows of their own and padded with targets that
/// do not count; or packed: the same pieces, several to a window, with positions that begin anew in each. Which windows
/// make up a batch is a function of (seed, step) alone, so the number of the step is the cursor.
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
    if (o.packing == Packing::documents) positions_.resize(n);
  }

  const BatchOptions& options() const { return options_; }
  const Tokens& tokens() const { return *tokens_; }
  Index steps() const { return options_.steps; }
  Index accumulate() const { return options_.accumulate; }
  Index windows() const { return rows_.ends.empty() ? stream_windows_ : rows_.rows(); }  ///< in an epoch
  double epochs(Index step) const { return double(step * options_.size * options_.accumulate) / double(windows()); }
  Index drawn_per_step() const { return options_.size * options_.accumulate; }
  Index tokens_per_step() const { return Index(ids_.size()); }
  std::string hash() const { return tokens_->hash(); }
  json::Value settings() const {
    auto settings = json::Value::object({{"size", options_.size}, {"length", options_.length}, {"accumulate", options_.accumulate},
                                         {"seed", options_.seed}, {"shuffle", options_.shuffle}});
    if (options_.packing == Packing::documents) settings.set("packing", "documents");
    return settings;
  }
  /// Refuses ids that a model of this configuration does not know.
  template <class Config>
  void check(const Config& config) const {
    tokens_->check(config.vocab);
  }

  /// Makes the batches of an optimizer step, 0 being the first.
  void prepare(Index step) {
    const Index per_step = options_.size * options_.accumulate, length = options_.length;
    for (Index k = 0; k < per_step; ++k) fill(window_at(step * per_step + k), k * length);
    counted_ = Index(targets_.size()) - std::count(targets_.begin(), targets_.end(), kIgnore);
  }
  /// Batch number k of the step that was prepared.
  Batch operator[](Index k) const {
    const auto n = std::size_t(options_.size * options_.length), at = std::size_t(k) * n;
    return {std::span(ids_).subspan(at, n), std::span(targets_).subspan(at, n), {options_.size, options_.length},
            counted_ > 0 ? 1 / double(counted_) : 0, std::uint32_t(k),
            positions_.empty() ? std::span<const int>() : std::span(positions_).subspan(at, n)};
  }
  /// Ids that are fed in an epoch, padding left out.
  Index fed() const {
    Index n = stream_windows_ * options_.length;
    for (const Piece& p : rows_.pieces) n += p.size();
    return n;
  }
  /// Targets that count in the step that was prepared.
  Index counted() const { return counted_; }

  BatchIterator<Batches> begin() { return {this, 0}; }
  BatchIterator<Batches> end() { return {this, steps()}; }

 private:
  void list_windows() {
    const Tokens& t = *tokens_;
    const Index length = options_.length;
    if (t.ends.empty()) {
      if (options_.packing == Packing::documents) {
        fail(Errc::usage, "{}: one text without documents, of which there are none to pack: give a .jsonl with a document a line, "
             "rows of .npy, or say which token ends a document: TokenFile::in_documents", t.source);
      }
      stream_windows_ = (t.size() - 1) / length;
    } else if (options_.packing == Packing::documents) {
      rows_ = packed(pieces_of(t, length), length);
    } else {
      rows_.pieces = pieces_of(t, length), rows_.ends.resize(rows_.pieces.size());
      std::iota(rows_.ends.begin(), rows_.ends.end(), Index{1});
    }
    if (windows() > 0) return;
    fail(Errc::bad_input, "{}: {} tokens are less than one window of {} + 1: give more text or a smaller length",
         t.source, t.size(), length);
  }

  /// The pieces that a window holds.
  std::span<const Piece> window_at(Index sample) {
    const auto w = EpochOrder{windows(), options_.seed, options_.shuffle}(sample).which;
    if (!rows_.ends.empty()) return rows_.row(w);
    stream_window_ = {w * options_.length, (w + 1) * options_.length};
    return {&stream_window_, 1};
  }

  /// What is left is padding, which sees and is seen by nobody else: a document each.
  void fill(std::span<const Piece> window, Index at) {
    const Index end = at + options_.length;
    for (const Piece& p : window) {
      std::copy_n(tokens_->ids.begin() + p.first, p.size(), ids_.begin() + at);
      if (!positions_.empty()) std::iota(positions_.begin() + at, positions_.begin() + at + p.size(), 0);
      for (Index i = p.first; i < p.last; ++i) targets_[std::size_t(at++)] = tokens_->label(i + 1);
    }
    std::fill(ids_.begin() + at, ids_.begin() + end, 0);
    std::fill(targets_.begin() + at, targets_.begin() + end, kIgnore);
    if (!positions_.empty()) std::fill(positions_.begin() + at, positions_.begin() + end, 0);
  }

  std::shared_ptr<const Tokens> tokens_;
  BatchOptions options_;
  PackedRows rows_;  // empty where there are no documents: windows are computed then
  Piece stream_window_{};
  Index stream_windows_ = 0, counted_ = 0;
  std::vector<int> ids_, targets_, positions_;  // (accumulate · size · length); positions only of packed documents
};

}  // namespace espalier::inline v0
