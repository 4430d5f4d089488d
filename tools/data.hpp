// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/tokens.hpp>
#include <string>

namespace espalier::tool {

/// A data file by its ending, with .npy where this build has xtensor.
TokenFile read_data(const std::string& path);

}  // namespace espalier::tool
