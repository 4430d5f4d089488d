// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <utility>

#include <espalier/data/token_list.hpp>

namespace espalier::inline v0 {

/// The token ids of texts that were read as bytes, document by document: what the tokenizer makes of each, with the
/// tokens it puts around a text (a beginning of sequence, or [CLS] and [SEP]) and no others between. A text file is one
/// document. What holds token ids already stays as it is.
///
/// Tokenizer: encode(text) gives a vector of ids, as that of espalier/data/tokenizer/tokenizer.hpp.
template <class Tokenizer>
Tokens tokenized(Tokens given, Tokenizer& tokenizer) {
  if (!given.bytes) return given;
  Tokens out;
  out.source = std::move(given.source);
  const auto add = [&](Index first, Index last) {
    std::string text;
    text.reserve(std::size_t(last - first));
    for (Index i = first; i < last; ++i) text += static_cast<char>(given.ids[std::size_t(i)]);
    try {
      const auto ids = tokenizer.encode(text);
      out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", out.source, error.what());
    }
  };
  for (Index d = 0; d < given.documents(); ++d) {
    add(given.begin_of(d), given.ends[std::size_t(d)]);
    out.ends.push_back(out.size());
  }
  if (given.ends.empty()) add(0, given.size());
  return out;
}

}  // namespace espalier::inline v0
