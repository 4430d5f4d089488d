// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace espalier::inline v0 {

/// Why something was refused. The tool turns these into exit codes.
enum class Errc {
  failed,       ///< could not be done although what was asked for is fine (1)
  usage,        ///< what was asked for makes no sense (2)
  bad_input,    ///< a file is malformed or inconsistent (3)
  unsupported,  ///< a file is fine but asks for something that is not supported (3)
  numerical,    ///< a loss, a gradient or a score is not finite (4)
  resources,    ///< memory, disk or device is missing (5)
};

namespace detail {

inline void append(std::string& out, std::string_view x) { out += x; }
inline void append(std::string& out, char x) { out += x; }
template <std::same_as<bool> T>  // not a plain bool: a string literal would rather become one than a string_view
void append(std::string& out, T x) {
  out += x ? "true" : "false";
}
template <class T>
  requires(std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>)
void append(std::string& out, T x) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, x).ptr;
  out.append(text, end);
}
template <std::floating_point T>
void append(std::string& out, T x) {
  char text[40];
  out.append(text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "%.6g", double(x))));
}

}  // namespace detail

/// Replaces each {} by the next argument. Strings, characters, integers, floats and booleans.
template <class... Args>
std::string format(std::string_view pattern, const Args&... args) {
  std::string out;
  [[maybe_unused]] const auto upto_next = [&] {
    const auto at = pattern.find("{}");
    out += pattern.substr(0, at);
    pattern.remove_prefix(at == std::string_view::npos ? pattern.size() : at + 2);
  };
  ((upto_next(), detail::append(out, args)), ...);
  out += pattern;
  return out;
}

/// The one exception of the library. what() says what, where, why and what to do.
class Error : public std::exception {
 public:
  Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}
  Errc code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Errc code_;
  std::string message_;
};

template <class... Args>
[[noreturn]] void fail(Errc code, std::string_view pattern, const Args&... args) {
  throw Error(code, format(pattern, args...));
}

/// Contracts of the public edge, checked once: require(x.cols() == in, "q_proj: x is (?, {}), expected (?, {})", …).
template <class... Args>
void require(bool holds, std::string_view pattern, const Args&... args) {
  if (!holds) [[unlikely]] fail(Errc::usage, pattern, args...);
}

}  // namespace espalier::inline v0
