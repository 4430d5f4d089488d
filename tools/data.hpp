// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/tokens.hpp>
#include <string>
#include <vector>

#include "data_set.hpp"

namespace espalier::tool {

/// Token ids of a data file by its ending, with .npy where this build has xtensor. Text goes through the tokenizer in the
/// model's directory; where there is none it is read as bytes.
TokenFile read_tokens(const std::string& path, const std::string& model = "");
/// Texts through the tokenizer in the model's directory: with labels, or to be hidden in part.
DataSet read_text_data(const std::string& path, const std::string& model, const TextOptions&, bool labelled);
/// The first `length` tokens of a text, repeated if it is shorter.
std::vector<int> sample(const Tokens& tokens, Index length);
/// Images of a .npy and the labels beside it.
DataSet read_image_data(const std::string& path, const ImageOptions&);

}  // namespace espalier::tool
