// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::tool {

/// OpenMP lets waiting threads spin, which stalls everything where cores are shared with other programs: ten times
/// slower was seen. It reads its settings before main() begins, so the program starts itself anew with threads that
/// sleep while they wait, unless somebody has said how to wait.
void wait_briefly(char** argv);

}  // namespace espalier::tool
