// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include <espalier/io/path.hpp>

namespace espalier::inline v0 {

/// The name of the file in a model's directory that says how text becomes tokens: tokenizer.json, or BERT's vocab.txt.
/// Empty where there is none.
inline std::string tokenizer_file(const std::string& directory) {
  for (const char* name : {"tokenizer.json", "vocab.txt"})
    if (io::exists(io::join(directory, name))) return name;
  return "";
}

}  // namespace espalier::inline v0
