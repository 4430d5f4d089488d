// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace espalier::tool {

/// One `key = value` of a config file, with the [table] it stands in.
struct TomlEntry {
  std::string table, key;
  std::vector<std::string> values;  ///< one, or the elements of an array
  bool is_array = false, is_string = false;
  int line = 0;
};

/// The part of TOML 1.0 that settings need: [tables], bare and quoted keys, strings, numbers, true and false, arrays of
/// these, comments. Anything else is an error that says the line, and so is a key that stands twice.
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& source);

/// A string with the escapes of a TOML basic string.
std::string toml_quoted(std::string_view text);

}  // namespace espalier::tool
