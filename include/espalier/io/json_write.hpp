// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

#include <espalier/core/error.hpp>

namespace espalier::inline v0::json {

/// Appends text in quotes: ", \ and control characters are escaped, everything else stays UTF-8 as serde_json leaves it.
inline void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          out += hex[static_cast<std::size_t>(c) >> 4];
          out += hex[static_cast<std::size_t>(c) & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

/// The shortest digits that read back to the same double, laid out as Python's repr does: 0.1, 10000.0, 1e-05, 1e+16.
inline void append_number(std::string& out, double x) {
  if (!std::isfinite(x)) fail(Errc::numerical, "JSON has no spelling for {}; write null instead", x);
  char text[40];
  const char* const end = std::to_chars(text, text + sizeof text, x, std::chars_format::scientific).ptr;
  std::string_view rest(text, static_cast<std::size_t>(end - text));
  if (rest[0] == '-') out += '-', rest.remove_prefix(1);
  const auto e = rest.find('e');
  std::string digits(1, rest[0]);
  if (e > 2) digits += rest.substr(2, e - 2);
  int power = 0;  // from_chars takes no plus sign
  std::from_chars(rest.data() + e + (rest[e + 1] == '+' ? 2 : 1), end, power);
  const int count = static_cast<int>(digits.size());
  if (power < -4 || power >= 16) {
    out += digits[0];
    if (count > 1) out += '.', out.append(digits, 1);
    out += power < 0 ? "e-" : "e+";
    const int magnitude = power < 0 ? -power : power;
    if (magnitude < 10) out += '0';
    out += std::to_string(magnitude);
  } else if (power < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-power - 1), '0');
    out += digits;
  } else if (count <= power + 1) {
    out += digits;
    out.append(static_cast<std::size_t>(power + 1 - count), '0');
    out += ".0";
  } else {
    out.append(digits, 0, static_cast<std::size_t>(power) + 1);
    out += '.';
    out.append(digits, static_cast<std::size_t>(power) + 1);
  }
}

}  // namespace espalier::inline v0::json

namespace espalier::inline v0 {

/// A name out of a file, safe to print on a terminal: quoted, at most 80 bytes, anything but plain ASCII as \xNN.
inline std::string printable(std::string_view name) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out = "'";
  for (const char c : name.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out += name.size() > 80 ? "...'" : "'";
}

}  // namespace espalier::inline v0
