// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::tool {

/// GNU's OpenMP lets waiting threads spin for milliseconds, which stalls everything where cores are shared with other
/// programs. It reads its settings before main() begins, so the program starts itself anew with a short spin, unless
/// somebody has said how to wait.
void wait_briefly(char** argv);

}  // namespace espalier::tool
