// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <espalier/core/error.hpp>
#include <espalier/io/file_read.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0 {

/// f(object) for every line of a .jsonl file, in order; empty lines are none. Errors say the line.
template <class F>
void for_each_json_line(const std::string& path, F&& f) {
  const std::string all = io::read_file(path, std::uint64_t{1} << 40);
  Index number = 0;
  for (std::string_view rest = all; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = format("{}:{}", path, number);
    const json::Value value = json::parse(line, where);
    try {
      if (!value.is_object()) fail(Errc::bad_input, "expected an object, {\"…\": …}");
      f(value);
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", where, error.what());
    }
  }
}

}  // namespace espalier::inline v0
