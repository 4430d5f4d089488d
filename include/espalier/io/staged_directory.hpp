// SPDX-License-Identifier: MIT
#pragma once
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/path.hpp>
#include <espalier/io/system_error.hpp>

namespace espalier::inline v0::io {

/// Names in a directory, without . and .., in no order.
inline std::vector<std::string> list_directory(const std::string& path) {
  DIR* const stream = ::opendir(path.c_str());
  if (stream == nullptr) fail_reading(path);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) fail_system("list", path, error);
  return names;
}

inline void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0) fail_system("make the directory", path);
}

/// Removes a directory and all in it. Links are removed, never followed.
inline void remove_tree(const std::string& path) {
  for (const std::string& name : list_directory(path)) {
    const std::string inner = join(path, name);
    struct stat status;
    if (::lstat(inner.c_str(), &status) != 0) fail_system("examine", inner);
    if (S_ISDIR(status.st_mode)) {
      remove_tree(inner);
    } else if (::unlink(inner.c_str()) != 0) {
      fail_system("remove", inner);
    }
  }
  if (::rmdir(path.c_str()) != 0) fail_system("remove", path);
}

/// Makes a directory and every file in it survive a loss of power.
inline void sync_tree(const std::string& path) {
  for (const std::string& name : list_directory(path)) {
    const std::string inner = join(path, name);
    struct stat status;
    if (::lstat(inner.c_str(), &status) != 0) fail_system("examine", inner);
    if (S_ISDIR(status.st_mode)) sync_tree(inner);
    if (!S_ISREG(status.st_mode)) continue;
    const Descriptor fd(::open(inner.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd || ::fsync(*fd) != 0) fail_system("sync", inner);
  }
  sync_directory(path);
}

/// A directory that is filled under a temporary name beside `target` and appears under its own name, complete, at
/// commit(). Without commit() it vanishes. An existing target is refused, at once, unless `overwrite`.
///
///     io::StagedDirectory out("model-pruned");
///     io::write_file_atomically(out / "config.json", text);
///     out.commit();
class StagedDirectory {
 public:
  explicit StagedDirectory(std::string target, bool overwrite = false)
      : target_(std::move(target)), overwrite_(overwrite) {
    while (target_.size() > 1 && target_.back() == '/') target_.pop_back();
    const std::string name = base_name(target_);
    if (name.empty() || name == "/" || name == "." || name == "..") {
      fail(Errc::usage, "'{}' cannot be written as a whole: name a new directory", target_);
    }
    check_target();
    int result;
    do {
      staging_ = temporary_beside(target_);
      result = ::mkdir(staging_.c_str(), 0777);
    } while (result != 0 && errno == EEXIST);
    if (result != 0) {
      const int error = errno;
      fail_system("make the directory", std::exchange(staging_, {}), error);
    }
  }
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;
  ~StagedDirectory() {
    if (staging_.empty()) return;
    try {
      remove_tree(staging_);
    } catch (const Error&) {  // what cannot be removed stays, hidden, under its temporary name
    }
  }

  /// Where the files go until commit().
  const std::string& path() const { return staging_; }
  std::string operator/(std::string_view name) const { return join(staging_, name); }

  void commit() {
    sync_tree(staging_);
    check_target();
    if (!exists(target_)) {
      rename_or_fail(staging_, target_, RENAME_NOREPLACE);
    } else if (::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
      std::swap(staging_, aside_);  // the old one now stands where ours was: forget ours, remove the old one below
    } else {
      aside_ = temporary_beside(target_);
      rename_or_fail(target_, aside_, RENAME_NOREPLACE);
      try {
        rename_or_fail(staging_, target_, RENAME_NOREPLACE);
      } catch (const Error&) {
        ::rename(aside_.c_str(), target_.c_str());
        throw;
      }
    }
    staging_.clear();
    sync_directory(parent(target_));
    if (!aside_.empty()) remove_tree(std::exchange(aside_, {}));
  }

 private:
  void check_target() const {
    struct stat status;
    if (::lstat(target_.c_str(), &status) != 0) return;
    if (!overwrite_) fail(Errc::usage, "{} exists already: choose another name, or allow to overwrite it", target_);
    if (!S_ISDIR(status.st_mode)) fail(Errc::usage, "{} exists and is not a directory: it is not overwritten", target_);
  }
  static void rename_or_fail(const std::string& from, const std::string& to, unsigned flags) {
    int result = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS)) result = ::rename(from.c_str(), to.c_str());
    if (result != 0) fail_system("replace", to);
  }

  std::string target_, staging_, aside_;
  bool overwrite_;
};

}  // namespace espalier::inline v0::io
