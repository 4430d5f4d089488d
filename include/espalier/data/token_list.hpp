// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <espalier/core/target.hpp>
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/sha256.hpp>

namespace espalier::inline v0 {

/// A vocabulary of bytes: 256 of them and a few special ones behind.
constexpr bool is_byte_level(Index vocabulary) { return vocabulary >= 256 && vocabulary <= 320; }

/// Token ids: one endless text, or many documents.
struct Tokens {
  std::string source;       ///< where they came from, for messages
  std::vector<int> ids;     ///< all documents end to end
  std::vector<int> labels;  ///< per id, what should stand in its place: an id, or −100; empty: the ids themselves
  std::vector<Index> ends;  ///< where each document ends in `ids`; empty: one text without documents
  bool bytes = false;       ///< ids are the bytes of a text

  Index size() const { return Index(ids.size()); }
  Index documents() const { return Index(ends.size()); }
  Index begin_of(Index document) const { return document == 0 ? 0 : ends[std::size_t(document - 1)]; }
  int label(Index i) const { return labels.empty() ? ids[std::size_t(i)] : labels[std::size_t(i)]; }

  /// Every id and label is one of the vocabulary, or nothing is trained.
  void check(Index vocabulary) const {
    if (bytes && !is_byte_level(vocabulary)) {
      fail(Errc::unsupported,
           "{}: raw text is read as bytes where there is no tokenizer, and a vocabulary of {} is not one of bytes: put "
           "tokenizer.json beside the model's weights, or give token ids (.bin, .npy, or .jsonl with \"input_ids\")",
           source, vocabulary);
    }
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (ids[i] < 0 || ids[i] >= vocabulary) refuse("id", ids[i], i, vocabulary);
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] != kIgnore && (labels[i] < 0 || labels[i] >= vocabulary)) refuse("label", labels[i], i, vocabulary);
  }

  /// One text as the documents that it was made of, or documents as smaller ones: each ends with one of these ids, as files of
  /// token ids have them between texts, and what is behind the last is one too.
  Tokens in_documents(std::span<const int> last) const {
    Tokens p = *this;
    p.ends.clear();
    auto known = ends.begin();
    for (Index i = 0; i < size(); ++i) {
      const bool ended = known != ends.end() && *known == i + 1;
      if (ended || std::find(last.begin(), last.end(), ids[std::size_t(i)]) != last.end()) p.ends.push_back(i + 1);
      while (known != ends.end() && *known == i + 1) ++known;  // some may be empty
    }
    if (p.ends.empty()) {
      std::string list;
      for (const int id : last) list += format("{}{}", list.empty() ? "" : ", ", id);
      fail(Errc::bad_input, "{}: no document ends in {} tokens: there is no token {} among them", source, size(), list);
    }
    if (p.ends.back() < size()) p.ends.push_back(size());
    return p;
  }

  /// A part of the whole: [first, last) counts documents where there are some, ids otherwise.
  Tokens part(Index first, Index last) const {
    Tokens p;
    p.source = source, p.bytes = bytes;
    const auto cut = [](const std::vector<int>& x, Index a, Index b) {
      return x.empty() ? std::vector<int>() : std::vector<int>(x.begin() + a, x.begin() + b);
    };
    const Index a = ends.empty() ? first : begin_of(first), b = ends.empty() ? last : begin_of(last);
    p.ids = cut(ids, a, b), p.labels = cut(labels, a, b);
    for (Index d = first; d < last && !ends.empty(); ++d) p.ends.push_back(ends[std::size_t(d)] - a);
    return p;
  }

  /// SHA-256 of what is learnt from: a resumed run must see the same.
  std::string hash() const {
    Sha256 h;
    const auto add = [&](const auto& x) { h.update(std::as_bytes(std::span(x.data(), x.size()))); };
    h.update(format("{} {} {};", ids.size(), labels.size(), ends.size()));
    add(ids), add(labels), add(ends);
    return h.hex();
  }

 private:
  [[noreturn]] void refuse(std::string_view what, int id, std::size_t at, Index vocabulary) const {
    const auto document = std::upper_bound(ends.begin(), ends.end(), Index(at)) - ends.begin();
    const std::string where = ends.empty()
                                  ? format("position {}", at)
                                  : format("document {}, position {}", document, Index(at) - begin_of(document));
    fail(Errc::bad_input,
         "{}: {} {} at {} is outside the model's vocabulary of {}: was it made with another tokenizer?", source, what,
         id, where, vocabulary);
  }
};

}  // namespace espalier::inline v0
