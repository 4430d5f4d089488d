// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <espalier/core/config.hpp>
#include <string>

namespace espalier::tool {

/// 1,234,567
inline std::string with_commas(Index n) {
  std::string digits = std::to_string(n < 0 ? -n : n);
  for (Index at = Index(digits.size()) - 3; at > 0; at -= 3) digits.insert(std::size_t(at), 1, ',');
  if (n < 0) digits.insert(0, 1, '-');
  return digits;
}

inline std::string printed(const char* pattern, double x) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, x);
  return text;
}

inline std::string fixed(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

/// 14.2k, 3.06M
inline std::string brief(double x) {
  const double size = std::abs(x);
  if (size >= 1e9) return printed("%.2fG", x / 1e9);
  if (size >= 1e6) return printed("%.2fM", x / 1e6);
  if (size >= 1e3) return printed("%.1fk", x / 1e3);
  return printed("%.0f", x);
}

inline std::string bytes_text(double bytes) {
  if (bytes >= 1024.0 * 1024 * 1024) return printed("%.2f GiB", bytes / (1024.0 * 1024 * 1024));
  if (bytes >= 1024 * 1024) return printed("%.2f MiB", bytes / (1024 * 1024));
  if (bytes >= 1024) return printed("%.1f KiB", bytes / 1024);
  return printed("%.0f B", bytes);
}

/// 0:41, 2:05:09
inline std::string clock_text(double seconds) {
  if (!(seconds >= 0) || seconds > 1e7) return "?";
  const int s = int(seconds + 0.5);
  char text[32];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%d:%02d", s / 60, s % 60);
  }
  return text;
}

inline std::string milliseconds(double seconds) {
  const double ms = seconds * 1e3;
  return printed(ms < 10 ? "%.2f ms" : ms < 100 ? "%.1f ms" : "%.0f ms", ms);
}

/// -45.6%, of a change from one number to another.
inline std::string change_text(double from, double to) {
  return from == 0 ? "" : printed("%+.1f%%", 100 * (to - from) / from);
}

}  // namespace espalier::tool
