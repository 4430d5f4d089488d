// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <string>
#include <utility>

namespace espalier::tool {

/// What went wrong, where, and what to do: `error: what` / `  in where` / `  hint: …`.
struct Trouble {
  Errc code = Errc::failed;
  std::string what, where = {}, hint = {};
};

/// Errors of the library pass through and learn where they happened.
template <class F>
auto within(const std::string& where, const std::string& hint, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Trouble{e.code(), e.what(), where, hint};
  }
}

constexpr int exit_code(Errc code) {
  switch (code) {
    case Errc::usage:
      return 2;
    case Errc::bad_input:
    case Errc::unsupported:
      return 3;
    case Errc::numerical:
      return 4;
    case Errc::resources:
      return 5;
    case Errc::failed:
      break;
  }
  return 1;
}

constexpr int kInterrupted = 130;

}  // namespace espalier::tool
