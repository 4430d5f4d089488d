// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::tool {

/// SIGPIPE and SIGXFSZ become failed writes, which are reported.
void ignore_broken_pipes();

/// While one is alive, the first SIGINT or SIGTERM is noted and the second exits at once with 130.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
};

bool interrupted();

}  // namespace espalier::tool
