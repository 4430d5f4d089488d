// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <string>

#include <espalier/io/file_read.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0::json {

inline Value read_file(const std::string& path, std::uint64_t limit = std::uint64_t{64} << 20) {
  return parse(io::read_file(path, limit), path);
}

/// As Hugging Face writes it: indent 2, a new line at the end.
inline void write_file(const std::string& path, const Value& value) {
  io::write_file_atomically(path, value.dump(2) + '\n');
}

}  // namespace espalier::inline v0::json
