// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <espalier/io/dtype_names.hpp>
#include <espalier/io/json.hpp>
#include <espalier/io/path.hpp>
#include <espalier/io/sha256.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// Files of a model directory that are neither weights nor config.json: they are copied unchanged.
inline constexpr std::string_view companion_files[] = {
    "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",      "vocab.json",     "merges.txt",            "vocab.txt",
    "tokenizer.model",        "spm.model",      "chat_template.jinja",   "preprocessor_config.json"};

/// Where a model came from: what it needs to be written back in the same clothes. Empty for a model made in memory.
struct ModelSource {
  std::string directory;
  json::Value config;                                 ///< all of config.json, what we do not understand included
  std::vector<std::pair<std::string, Dtype>> dtypes;  ///< of each tensor in the file, sorted by name
  std::vector<std::string> files;                     ///< the files that hold the weights, links followed
  std::vector<std::string> fresh;                     ///< linear maps of a head that started at random: no file has them, or a new one was asked for

  bool starts_fresh(std::string_view map) const { return std::find(fresh.begin(), fresh.end(), map) != fresh.end(); }

  explicit operator bool() const { return !directory.empty(); }

  /// How the file stores a tensor.
  std::optional<Dtype> dtype_of(std::string_view tensor) const {
    const auto at = std::lower_bound(dtypes.begin(), dtypes.end(), tensor, [](const auto& a, std::string_view b) { return a.first < b; });
    if (at == dtypes.end() || at->first != tensor) return std::nullopt;
    return at->second;
  }

  /// The companions that are there now.
  std::vector<std::string> companions() const {
    std::vector<std::string> names;
    if (directory.empty()) return names;
    for (const std::string_view name : companion_files)
      if (io::exists(io::join(directory, name))) names.emplace_back(name);
    return names;
  }

  /// SHA-256 of the weights as they lie on disk; of several files, that of the list of their hashes. Reads them all.
  std::string sha256() const {
    if (files.size() == 1) return sha256_of_file(files.front());
    Sha256 all;
    for (const std::string& file : files) all.update(sha256_of_file(file)).update("\n");
    return files.empty() ? std::string() : all.hex();
  }
};

}  // namespace espalier::inline v0
