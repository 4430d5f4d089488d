// SPDX-License-Identifier: MIT
#pragma once
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/stat.h>

#include <espalier/core/error.hpp>
#include <espalier/io/json_write.hpp>
#include <espalier/io/system_error.hpp>

namespace espalier::inline v0::io {

/// directory/name.
inline std::string join(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path += name;
}

/// What stands before the last slash: "." if there is none.
inline std::string parent(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

/// What stands behind the last slash.
inline std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

inline bool exists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}
inline bool is_directory(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}
inline bool is_regular_file(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

/// Whether a name out of a file may name a file beside it, on any system: one path component, no drive, at most 255 bytes.
inline bool is_single_component(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '/' || c == '\\' || c == ':') return false;
  }
  return true;
}

/// The path with every symbolic link followed.
inline std::string resolve(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) fail_reading(path);
  return resolved;
}

/// The file that `name`, a name out of a file, means in a model directory. A link is followed where it leads to the
/// directory itself or to the `blobs` of the same Hugging Face cache (snapshots/<revision>/x -> ../../blobs/<hash>).
inline std::string resolve_inside(const std::string& directory, std::string_view name) {
  if (!is_single_component(name)) {
    fail(Errc::bad_input, "{}: {} is not the name of a file in this directory", directory, printable(name));
  }
  const std::string home = resolve(directory), file = resolve(join(directory, name)), folder = parent(file);
  if (folder == home) return file;
  const std::string snapshots = parent(home);
  if (base_name(snapshots) == "snapshots" && folder == join(parent(snapshots), "blobs")) return file;
  fail(Errc::bad_input, "{}: {} is a link that leads out of the model directory, to {}", directory, printable(name),
       printable(file));
}

}  // namespace espalier::inline v0::io
