// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/kernel/weight_mask.hpp>
#include <vector>

namespace espalier::inline v0 {

/// A bit a weight of one projection: 1 keeps it, 0 makes it zero, adapter included: W = (W0 + s B A)∘M. Without memory it
/// keeps everything, and so it does until a bit is 0.
template <Backend Device>
class WeightMask {
 public:
  using Bits = View<const std::uint32_t, 2>;

  WeightMask() = default;
  WeightMask(Device& device, Index out, Index in) : in_(in), bits_(device, out, kernel::bit_words(in)) {
    set(device, std::vector<std::uint32_t>(std::size_t(bits_.size()), ~std::uint32_t{0}));
  }

  bool present() const { return !bits_.empty(); }
  /// Whether anything is removed.
  explicit operator bool() const { return removed_ > 0; }
  Index removed() const { return removed_; }  ///< weights that are zero
  Bits bits() const { return bits_.view(); }  // (out, words)
  /// Backward does not see the mask, so that gradients go on as if all weights were there.
  bool straight_through = false;

  void set(Device& device, std::vector<std::uint32_t> words) {
    require(Index(words.size()) == bits_.size(), "weight mask: {} words for {} rows of {} bits, expected {}", words.size(),
            bits_.shape(0), in_, bits_.size());
    const Index per_row = bits_.shape(1), last = in_ - (per_row - 1) * kernel::kBitsPerWord;
    for (Index i = 0; last < kernel::kBitsPerWord && i < bits_.shape(0); ++i)  // what is behind a row's end is no weight
      words[std::size_t((i + 1) * per_row - 1)] &= (std::uint32_t{1} << last) - 1;
    device.upload(bits_.view().data, words.data(), bits_.size());
    count(words);
  }
  std::vector<std::uint32_t> words(Device& device) const {
    std::vector<std::uint32_t> words(std::size_t(bits_.size()));
    device.download(bits_.view().data, words.data(), bits_.size());
    return words;
  }
  /// Somebody on the device has chosen: their bits are this mask's from now on.
  void take(Device& device, Bits chosen) {
    require(chosen.size() == bits_.size(), "weight mask: {} words are taken, expected {}", chosen.size(), bits_.size());
    std::vector<std::uint32_t> words(std::size_t(bits_.size()));
    device.download(chosen.data, words.data(), bits_.size());
    set(device, std::move(words));
  }
  /// Follows its weight; lists of rows and columns that stay are on the device, and an absent one keeps all.
  void compact(Device& device, const int* rows, const int* columns, Index out, Index in) {
    if (!present()) return;
    Tensor<Device, std::uint32_t, 2> smaller(device, out, kernel::bit_words(in));
    device.for_each_row(out, kernel::GatherBits{bits(), rows, columns, in, smaller.view()});
    bits_ = std::move(smaller), in_ = in;
    count(words(device));
  }

 private:
  void count(const std::vector<std::uint32_t>& words) {
    Index kept = 0;
    for (const std::uint32_t w : words) kept += std::popcount(w);
    removed_ = bits_.shape(0) * in_ - kept;
  }

  Index in_ = 0, removed_ = 0;
  Tensor<Device, std::uint32_t, 2> bits_;  // (out, words)
};

}  // namespace espalier::inline v0
