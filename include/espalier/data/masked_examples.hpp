// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/random.hpp>
#include <espalier/core/target.hpp>
#include <espalier/data/json_lines.hpp>
#include <espalier/data/read_texts.hpp>
#include <espalier/data/text_examples.hpp>

namespace espalier::inline v0 {

/// What is hidden, and by what.
struct MaskingOptions {
  double share = 0.15;          ///< of the tokens that are not special
  int mask = -1;                ///< the token [MASK]
  Index vocab = 0;              ///< random tokens are among so many
  std::vector<int> special = {};  ///< tokens that are never hidden
  std::uint64_t seed = 0;
};

/// Texts in which some tokens are hidden, anew in every epoch: of those 80 % are [MASK], 10 % any token, 10 % as they were.
/// The labels are the tokens that stood there, and -100 elsewhere.                                     Devlin et al. 2018
/// What is hidden is a function of seed, epoch and the token's place in the data.
struct MaskedSet {
  using Batch = TextBatch;
  using Rows = TextSet::Rows;
  static constexpr bool kLabelled = false;

  TextSet text;  ///< without labels
  MaskingOptions masking;
  std::string source = text.source;

  Index size() const { return text.size(); }
  void collect(std::span<const EpochOrder::Drawn> drawn, Index length, Rows& rows) const {
    text.collect(drawn, length, rows);
    rows.classes.assign(rows.tokens.size(), kIgnore);
    Index row = 0;
    for (const auto& d : drawn) {
      const RandomStream hidden{masking.seed, Purpose::masking, 0, d.epoch}, how{masking.seed, Purpose::masking, 1, d.epoch};
      for (Index t = 0; t < text.length_of(d.which); ++t) {
        const auto place = std::uint64_t(text.begin_of(d.which) + t);
        int& token = rows.tokens[std::size_t(row + t)];
        const bool special = std::binary_search(masking.special.begin(), masking.special.end(), token);
        if (special || hidden.uniform(place) >= masking.share) continue;
        rows.classes[std::size_t(row + t)] = token;
        const double u = how.uniform(place);
        if (u < 0.8) {
          token = masking.mask;
        } else if (u < 0.9) {
          const RandomStream other{masking.seed, Purpose::masking, 2, d.epoch};
          token = int(std::uint64_t{other.bits(place)} * std::uint64_t(masking.vocab) >> 32);
        }
      }
      row += rows.shape.seq;
    }
  }
  Batch batch(const Rows& rows) const { return text.batch(rows); }
  MaskedSet part(std::span<const Index> which) const { return {text.part(which), masking}; }
  std::string hash() const {
    Sha256 h;
    text.add_to(h);
    h.update(format(" masked {} {} {} {};", masking.share, masking.mask, masking.vocab, masking.seed));
    return h.update(std::as_bytes(std::span(masking.special))).hex();
  }
  template <class Config>
  void check(const Config& config) const {
    text.check_tokens(config);
    if (masking.vocab > config.vocab) {
      fail(Errc::bad_input, "{}: random tokens are among {}, and the model's vocabulary has {}", source, masking.vocab, config.vocab);
    }
  }
};
using MaskedExamples = Examples<MaskedSet>;

/// Texts for masked language modelling: .jsonl, a document a line, or .txt, which is one. A document is cut into pieces of at
/// most `length` tokens, each with the special tokens around it; nothing is left out. How they are hidden is asked of the
/// tokenizer: its mask token, and which tokens are special.
///
///     MaskedExamples train(read_masked_texts("corpus.txt", tokenizer, text_options(model)));
template <class Tokenizer>
MaskedSet read_masked_texts(const std::string& path, Tokenizer& tokenizer, const TextOptions& options, double share = 0.15,
                            std::uint64_t seed = 0) {
  require(share > 0 && share < 1, "{}: a share of {} is to be hidden, expected 0 < share < 1", path, share);
  TextSet set;
  set.source = path, set.pad = options.pad;
  const Index special = detail::special_tokens(tokenizer, false), room = options.length - special;
  require(room > 0, "{}: {} tokens an example, and {} of them are special: give a greater length", path, options.length, special);
  const auto add = [&](std::string_view document) {
    const std::vector<int> ids = tokenizer.encode(document, false);
    for (std::size_t at = 0; at < ids.size(); at += std::size_t(room)) {
      const auto end = std::min(ids.size(), at + std::size_t(room));
      const auto piece = tokenizer.around(std::vector<int>(ids.begin() + Index(at), ids.begin() + Index(end)));
      set.ids.insert(set.ids.end(), piece.ids.begin(), piece.ids.end());
      set.types.insert(set.types.end(), piece.types.begin(), piece.types.end());
      set.ends.push_back(Index(set.ids.size()));
    }
  };
  if (path.ends_with(".jsonl")) {
    TextFields fields = options.fields;
    for_each_json_line(path, [&](const json::Value& line) {
      if (fields.first.empty()) fields = detail::fields_of(line, fields, false);
      add(line.text(fields.first));
      if (!fields.second.empty()) add(line.text(fields.second));
    });
  } else {
    add(io::read_file(path, std::uint64_t{1} << 40));
  }
  MaskingOptions masking;
  masking.share = share, masking.seed = seed, masking.vocab = tokenizer.vocab_size();
  for (const char* name : {"[MASK]", "<mask>"})
    if (masking.mask < 0) masking.mask = tokenizer.id(name);
  if (masking.mask < 0) fail(Errc::usage, "{}: the tokenizer has neither [MASK] nor <mask>: it is none of a model that predicts hidden tokens", path);
  for (int id = 0; id < int(masking.vocab); ++id)
    if (tokenizer.is_special(id)) masking.special.push_back(id);
  return {std::move(set), std::move(masking)};
}

}  // namespace espalier::inline v0
