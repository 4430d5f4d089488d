// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::test {

/// While one lives, what is taken with new lies in memory that host and device share, and is never given back.
class SharedHeap {
 public:
  SharedHeap();
  ~SharedHeap();
  SharedHeap(const SharedHeap&) = delete;
  SharedHeap& operator=(const SharedHeap&) = delete;
};

}  // namespace espalier::test
