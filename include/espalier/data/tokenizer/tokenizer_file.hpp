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

/// What is there of a tokenizer in files that are not read here. Empty where there is nothing.
inline std::string other_tokenizer(const std::string& directory) {
  const auto there = [&](const char* name) { return io::exists(io::join(directory, name)); };
  for (const char* name : {"spm.model", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model"})
    if (there(name)) return name;
  return there("vocab.json") && there("merges.txt") ? "vocab.json and merges.txt" : "";
}

}  // namespace espalier::inline v0
