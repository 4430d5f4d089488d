// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/config.hpp>
#include <string>
#include <vector>

#include "temporary_directory.hpp"

namespace espalier::test {

inline constexpr Index kWorkerSteps = 6;

/// A whole training run with everything that has state, which goes on where it finds a checkpoint. Ends the process: 0
/// when done, with the hash of all bits in <folder>/result and the step it went on from in <folder>/resumed; 3 with an
/// error's message in <folder>/error. `armed` is called with true when faults may begin and with false when they must
/// end.
[[noreturn]] void work(const std::string& folder, void (*armed)(bool));

/// Runs this very program again as the worker: the status of waitpid. `before` is put in front of the command.
int run_worker(const std::string& folder, const std::string& fault = "", std::vector<std::string> before = {});
bool killed(int status);
int exit_code(int status);

/// The step that LATEST names; 0: none.
Index latest(const std::string& folder);

/// After whatever happened in `folder`: a worker in peace goes on from the newest complete checkpoint or a newer one,
/// and ends in these bits.
std::string recovers(const std::string& folder, const std::string& expected);

}  // namespace espalier::test
