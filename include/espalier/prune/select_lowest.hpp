// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/error.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/select.hpp>

namespace espalier::inline v0 {

/// removed(i) = 1 for the k lowest scores and 0 for the others. Of equal scores the lower index leaves first, −0 equals 0,
/// and what is not a number leaves last. All of it happens on the device, and nobody waits.
template <Backend Device, class A>
void select_lowest(Pass<Device>& pass, View<const A, 1> scores, Index k, View<std::uint8_t, 1> removed) {
  const Index n = scores.shape[0];
  require(removed.shape[0] == n, "select_lowest: {} scores, but room for {} bits", n, removed.shape[0]);
  require(k >= 0 && k <= n, "select_lowest: the {} lowest of {} scores are asked for", k, n);
  if (k == 0) {
    pass.device.for_each(n, kernel::Fill<std::uint8_t>{removed.data, 0});
    return;
  }
  auto scratch = pass.scratch();
  const Index chunks = kernel::Chunks{n}.count();
  const auto counts = scratch.template matrix<std::uint32_t>(chunks, kernel::DigitCounts<A>::kDigits);
  const auto threshold = scratch.template vector<kernel::Threshold<A>>(1).data;
  for (int shift = 8 * int(sizeof(A)) - 8; shift >= 0; shift -= 8) {
    pass.device.for_each_row(chunks, kernel::DigitCounts<A>{scores, threshold, shift, counts});
    pass.device.for_each_row(1, kernel::ChooseDigit<A>{counts, shift, k, threshold});
  }
  pass.device.for_each_row(chunks, kernel::RemoveLowest<A>{scores, threshold, counts, removed});
}

}  // namespace espalier::inline v0
