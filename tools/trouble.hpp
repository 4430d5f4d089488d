// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <exception>
#include <new>
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

/// The exception that is being handled, told to a person.
inline Trouble current_trouble() {
  try {
    throw;
  } catch (const Trouble& trouble) {
    return trouble;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {Errc::resources, "out of memory", "", "a smaller --batch or --seq-len, --weights bf16 or --recompute need less"};
  } catch (const std::exception& error) {
    return {Errc::failed, error.what()};
  } catch (...) {
    return {Errc::failed, "something unknown went wrong"};
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
