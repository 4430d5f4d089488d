// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/text_batch.hpp>

namespace espalier::inline v0 {

/// Images for an encoder.
struct ImageBatch {
  std::span<const float> pixels;  // (batch, channels, height, width)
  Index batch = 0, channels = 3, height = 0, width = 0;
  Labels labels = {};
  /// 1 / number of counted labels in the whole accumulated batch; 0: this batch stands alone.
  double weight = 0;
  /// Which part of the accumulated batch this is.
  std::uint32_t micro = 0;

  Index counted() const { return labels.counted(); }
};

}  // namespace espalier::inline v0
