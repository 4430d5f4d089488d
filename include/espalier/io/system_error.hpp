// SPDX-License-Identifier: MIT
#pragma once
#include <cerrno>
#include <cstring>
#include <string_view>

#include <espalier/core/error.hpp>

namespace espalier::inline v0::io {

/// What a failed system call means to the caller: something ran out, or it could not be done.
inline Errc meaning(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Errc::resources;
    default: return Errc::failed;
  }
}

[[noreturn]] inline void fail_system(std::string_view what, std::string_view path, int error = errno) {
  fail(meaning(error), "{}: cannot {}: {}", path, what, std::strerror(error));
}

/// A path that was given to be read and cannot be found or opened is bad input.
[[noreturn]] inline void fail_reading(std::string_view path, int error = errno) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case EISDIR:
    case ENXIO:
    case ENAMETOOLONG: fail(Errc::bad_input, "{}: cannot open: {}", path, std::strerror(error));
    default: fail_system("open", path, error);
  }
}

}  // namespace espalier::inline v0::io
