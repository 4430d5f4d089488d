// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/core/batch.hpp>
#include <espalier/core/error.hpp>
#include <string>

namespace espalier::inline v0 {

/// What goes into a model of language, on the device.
struct TokenInput {
  const int *tokens, *positions;  // (tokens)  positions: in the document, or null: every sequence is one
};

/// Tokens of the longest document in a batch, whose positions are checked: what is read beyond a table, and where a document
/// begins, are taken from them.
inline Index longest_document(const Batch& batch) {
  const Index seq = batch.shape.seq;
  if (batch.positions.empty()) return seq;
  require(Index(batch.positions.size()) == batch.shape.tokens(), "batch: {} positions, expected {} x {}",
          batch.positions.size(), batch.shape.batch, seq);
  Index most = 0;
  for (Index i = 0; i < batch.shape.tokens(); ++i) {
    const int at = batch.positions[std::size_t(i)], follows = i % seq == 0 ? 0 : batch.positions[std::size_t(i - 1)] + 1;
    if (at != 0 && at != follows) {
      fail(Errc::usage, "batch: position {} at token {} of sequence {}; expected 0, which begins a document{}", at, i % seq, i / seq,
           follows == 0 ? std::string() : format(", or {}, which goes on with it", follows));
    }
    most = std::max<Index>(most, at + 1);
  }
  return most;
}

}  // namespace espalier::inline v0
