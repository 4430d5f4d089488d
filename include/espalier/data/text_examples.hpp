// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <espalier/core/text_batch.hpp>
#include <espalier/data/examples.hpp>
#include <espalier/data/label_column.hpp>

namespace espalier::inline v0 {

/// Texts or pairs of texts as token ids, [CLS] a [SEP] or [CLS] a [SEP] b [SEP], with a label each.
struct TextSet {
  using Batch = TextBatch;
  static constexpr bool kLabelled = true;

  std::string source;
  int pad = 0;                  ///< the token of padding
  std::vector<int> ids, types;  ///< all examples end to end
  std::vector<Index> ends;
  LabelColumn labels;
  Index truncated = 0;          ///< examples that were cut

  Index size() const { return Index(ends.size()); }
  Index begin_of(Index i) const { return i == 0 ? 0 : ends[std::size_t(i - 1)]; }
  Index length_of(Index i) const { return ends[std::size_t(i)] - begin_of(i); }
  Index longest() const {
    Index most = 0;
    for (Index i = 0; i < size(); ++i) most = std::max(most, length_of(i));
    return most;
  }

  struct Rows {
    Shape shape;
    std::vector<int> tokens, visible, segments, classes;  // (batch · seq), but classes (batch) or (batch · seq)
    std::vector<double> values;                           // (batch, labels)
    Index fed() const { return shape.tokens(); }
  };
  void collect(std::span<const EpochOrder::Drawn> drawn, Index length, Rows& rows) const {
    Index seq = 0;
    for (const auto& d : drawn) seq = std::max(seq, length_of(d.which));
    require(length == 0 || seq <= length, "{}: an example of {} tokens in a batch of length {}", source, seq, length);
    rows.shape = {Index(drawn.size()), std::max(seq, length)};
    const auto n = std::size_t(rows.shape.tokens());
    rows.tokens.assign(n, pad), rows.visible.assign(n, 0), rows.segments.assign(n, 0);
    rows.classes.clear(), rows.values.clear();
    Index at = 0;
    for (const auto& d : drawn) {
      const Index first = begin_of(d.which), count = length_of(d.which);
      std::copy_n(ids.begin() + first, count, rows.tokens.begin() + at);
      std::copy_n(types.begin() + first, count, rows.segments.begin() + at);
      std::fill_n(rows.visible.begin() + at, count, 1);
      labels.copy(d.which, rows.classes, rows.values);
      at += rows.shape.seq;
    }
  }
  Batch batch(const Rows& r) const {
    return {.tokens = r.tokens, .visible = r.visible, .segments = r.segments, .labels = {.classes = r.classes, .values = r.values},
            .shape = r.shape};
  }
  TextSet part(std::span<const Index> which) const {
    TextSet p;
    p.source = source, p.pad = pad, p.labels = labels.part(which);
    for (const Index i : which) {
      p.ids.insert(p.ids.end(), ids.begin() + begin_of(i), ids.begin() + ends[std::size_t(i)]);
      p.types.insert(p.types.end(), types.begin() + begin_of(i), types.begin() + ends[std::size_t(i)]);
      p.ends.push_back(Index(p.ids.size()));
    }
    return p;
  }
  std::string hash() const {
    Sha256 h;
    add_to(h);
    labels.add_to(h);
    return h.hex();
  }
  void add_to(Sha256& h) const {
    h.update(format("{} {} {};", ids.size(), ends.size(), pad));
    h.update(std::as_bytes(std::span(ids))).update(std::as_bytes(std::span(types))).update(std::as_bytes(std::span(ends)));
  }
  /// Refuses what a model of this configuration has no place for.
  template <class Config>
  void check(const Config& config) const {
    check_tokens(config);
    labels.check(config.labels, source);
  }
  template <class Config>
  void check_tokens(const Config& config) const {
    for (Index i = 0; i < size(); ++i) {
      for (Index t = begin_of(i); t < ends[std::size_t(i)]; ++t) {
        const int id = ids[std::size_t(t)], type = types[std::size_t(t)];
        if (id < 0 || id >= config.vocab) {
          fail(Errc::bad_input, "{}: token {} of example {} is outside the model's vocabulary of {}: is the tokenizer that of "
               "another model?", source, id, i, config.vocab);
        }
        if (type < 0 || (config.segments > 0 && type >= config.segments)) {
          fail(Errc::bad_input, "{}: token type {} in example {}, and the model has {} (type_vocab_size): is the tokenizer that "
               "of another model?", source, type, i, config.segments);
        }
      }
    }
  }
};
using TextExamples = Examples<TextSet>;

}  // namespace espalier::inline v0
