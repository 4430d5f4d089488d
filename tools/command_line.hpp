// SPDX-License-Identifier: MIT
#pragma once
#include <optional>
#include <string>
#include <variant>

#include "settings.hpp"

namespace espalier::tool {

/// What to print on stdout instead of doing anything: --help and --version.
struct Answer {
  std::string text;
};

/// Reads the command line, ESPALIER_* variables and the config file, in this order of precedence. Throws Trouble.
std::variant<Request, Answer> understand(int argc, const char* const* argv);

/// The settings in force as a config file, with what each means.
std::string config_text(const Request& request);

}  // namespace espalier::tool
