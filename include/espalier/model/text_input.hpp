// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/core/text_batch.hpp>
#include <span>

namespace espalier::inline v0 {

/// What goes into an encoder of text, on the device.
struct TextInput {
  const int *tokens, *positions, *segments, *visible;  // (tokens); but for tokens: or null
};

/// A number for each token, each below `below`: a wrong one would read beyond the embedding.
template <Backend Device>
const int* upload_list(Pass<Device>& pass, const char* what, std::span<const int> x, Index below) {
  const Index n = pass.shape.tokens();
  require(Index(x.size()) == n, "batch: {} {}, expected {} x {}", x.size(), what, pass.shape.batch, pass.shape.seq);
  for (const int i : x) require(i >= 0 && i < below, "batch: there is {} among {}, expected 0 to {}", i, what, below - 1);
  auto there = pass.template vector<int>(n);
  pass.device.upload(there.data, x.data(), n);
  return there.data;
}

/// A batch, checked, but for its positions; of no kinds, segments do not matter.
template <Backend Device>
TextInput upload_text(Pass<Device>& pass, const TextBatch& batch, Index vocab, Index kinds) {
  TextInput input{upload_list(pass, "tokens", batch.tokens, vocab), nullptr, nullptr, nullptr};
  if (!batch.segments.empty() && kinds > 0) input.segments = upload_list(pass, "segments", batch.segments, kinds);
  if (!batch.visible.empty()) input.visible = upload_list(pass, "bits of the attention mask", batch.visible, 2);
  return input;
}

}  // namespace espalier::inline v0
