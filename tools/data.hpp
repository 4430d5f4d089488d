// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/tokens.hpp>
#include <string>

namespace espalier::tool {

/// A data file by its ending, with .npy where this build has xtensor. Text goes through the tokenizer in the model's
/// directory; where there is none it is read as bytes.
TokenFile read_data(const std::string& path, const std::string& model = "");

}  // namespace espalier::tool
