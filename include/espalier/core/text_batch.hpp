// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/target.hpp>
#include <espalier/core/workspace.hpp>
#include <span>

namespace espalier::inline v0 {

/// What is to be found: classes, or numbers.
struct Labels {
  std::span<const int> classes = {};    // (batch) the class of each, or (batch · seq) the token in each place; −100: not learnt
  std::span<const double> values = {};  // (batch, labels) numbers, or 0 and 1 where several labels may hold

  Index counted() const {
    Index n = Index(values.size());
    for (int c : classes) n += c != kIgnore;
    return n;
  }
};

/// Sequences of tokens for an encoder.
struct TextBatch {
  std::span<const int> tokens;         // (batch · seq), row by row
  std::span<const int> visible = {};   // (batch · seq)  the attention mask: 0 is padding; empty: there is none
  std::span<const int> segments = {};  // (batch · seq)  token types; empty: all 0
  Labels labels = {};
  Shape shape;
  /// 1 / number of counted labels in the whole accumulated batch; 0: this batch stands alone.
  double weight = 0;
  /// Which part of the accumulated batch this is.
  std::uint32_t micro = 0;

  Index counted() const { return labels.counted(); }
};

}  // namespace espalier::inline v0
