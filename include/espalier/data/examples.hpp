// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/data/batch_source.hpp>

namespace espalier::inline v0 {

/// What batches can be made of: so many examples, each of which stands for itself. Rows are the numbers of a batch, on the
/// host; a Batch looks at them.
template <class S>
concept ExampleSet = requires(const S& set, std::span<const EpochOrder::Drawn> drawn, typename S::Rows& rows,
                              std::span<const Index> which) {
  typename S::Batch;
  { set.source } -> std::convertible_to<std::string>;
  { set.size() } -> std::same_as<Index>;
  set.collect(drawn, /*at least so long:*/ Index{}, rows);
  { set.batch(rows) } -> std::same_as<typename S::Batch>;
  { set.part(which) } -> std::same_as<S>;
  { set.hash() } -> std::same_as<std::string>;
};

struct ExampleBatchOptions {
  Index size = 8;           ///< examples in a batch
  Index steps = 0;          ///< optimizer steps; 0: once through the data
  std::uint64_t seed = 0;   ///< of the order
  bool shuffle = true;
  Index accumulate = 1;     ///< batches to an optimizer step
  Index length = 0;         ///< every batch is padded to so many tokens; 0: to its own longest example, which is less work
};

/// Batches of a set of examples, in an order that is new every epoch. Which examples make up a batch is a function of
/// (seed, step) alone.
template <ExampleSet Set>
class ExampleBatches {
 public:
  using Batch = typename Set::Batch;

  ExampleBatches(std::shared_ptr<const Set> set, const ExampleBatchOptions& o) : set_(std::move(set)), options_(o) {
    require(o.size > 0 && o.accumulate > 0 && o.steps >= 0 && o.length >= 0,
            "batches: size {}, accumulate {}, steps {}, length {}; expected at least 1, 1, 0, 0", o.size, o.accumulate,
            o.steps, o.length);
    if (options_.steps == 0) options_.steps = std::max<Index>(1, set_->size() / drawn_per_step());
    drawn_.resize(std::size_t(o.size)), rows_.resize(std::size_t(o.accumulate));
  }

  const ExampleBatchOptions& options() const { return options_; }
  const Set& set() const { return *set_; }
  Index steps() const { return options_.steps; }
  Index accumulate() const { return options_.accumulate; }
  Index drawn_per_step() const { return options_.size * options_.accumulate; }
  Index tokens_per_step() const { return fed_; }
  double epochs(Index step) const { return double(step * drawn_per_step()) / double(set_->size()); }
  std::string hash() const { return set_->hash(); }
  json::Value settings() const {
    return json::Value::object({{"size", options_.size}, {"length", options_.length}, {"accumulate", options_.accumulate},
                                {"seed", options_.seed}, {"shuffle", options_.shuffle}});
  }
  template <class Config>
  void check(const Config& config) const {
    set_->check(config);
  }

  /// Makes the batches of an optimizer step, 0 being the first.
  void prepare(Index step) {
    const EpochOrder order{set_->size(), options_.seed, options_.shuffle};
    counted_ = fed_ = 0;
    for (Index k = 0; k < options_.accumulate; ++k) {
      for (Index i = 0; i < options_.size; ++i)
        drawn_[std::size_t(i)] = order((step * options_.accumulate + k) * options_.size + i);
      auto& rows = rows_[std::size_t(k)];
      set_->collect(drawn_, options_.length, rows);
      counted_ += set_->batch(rows).counted(), fed_ += rows.fed();
    }
  }
  /// Batch number k of the step that was prepared.
  Batch operator[](Index k) const {
    Batch batch = set_->batch(rows_[std::size_t(k)]);
    batch.weight = counted_ > 0 ? 1 / double(counted_) : 0;
    batch.micro = std::uint32_t(k);
    return batch;
  }
  /// Labels that count in the step that was prepared.
  Index counted() const { return counted_; }

  BatchIterator<ExampleBatches> begin() { return {this, 0}; }
  BatchIterator<ExampleBatches> end() { return {this, steps()}; }

 private:
  std::shared_ptr<const Set> set_;
  ExampleBatchOptions options_;
  std::vector<EpochOrder::Drawn> drawn_;      // (size)
  std::vector<typename Set::Rows> rows_;      // (accumulate)
  Index counted_ = 0, fed_ = 0;
};

/// A set of examples that many may hold.
///
///     const TextExamples train(read_texts("train.jsonl", tokenizer, text_options(model)));
///     for (TextBatch batch : train.batches({.size = 16, .steps = 300})) …
template <ExampleSet Set>
class Examples {
 public:
  explicit Examples(Set set) : set_(std::make_shared<const Set>(std::move(set))) {
    if (set_->size() == 0) fail(Errc::bad_input, "{}: there is no example in it", set_->source);
  }
  const Set& set() const { return *set_; }
  Index size() const { return set_->size(); }
  const std::string& source() const { return set_->source; }
  std::string hash() const { return set_->hash(); }
  /// Refuses what a model of this configuration has no place for.
  template <class Config>
  void check(const Config& config) const {
    set_->check(config);
  }
  ExampleBatches<Set> batches(const ExampleBatchOptions& options = {}) const { return {set_, options}; }

  /// One part to train on, and a share to validate with that is drawn at random: files are often sorted by label.
  std::pair<Examples, Examples> split(double share = 0.1, std::uint64_t seed = 0) const {
    const Index n = size();
    require(share > 0 && share < 1 && n > 1, "{}: a share of {} of {} examples to validate with, expected 0 < share < 1 of two or more",
            source(), share, n);
    const Index held = std::min(n - 1, std::max<Index>(1, Index(double(n) * share + 0.5)));
    const EpochOrder order{n, seed, true};
    std::vector<Index> validate, train;
    for (Index i = 0; i < n; ++i) (i < held ? validate : train).push_back(order(i).which);
    std::sort(validate.begin(), validate.end()), std::sort(train.begin(), train.end());
    return {Examples(set_->part(train)), Examples(set_->part(validate))};
  }

 private:
  std::shared_ptr<const Set> set_;
};

}  // namespace espalier::inline v0
