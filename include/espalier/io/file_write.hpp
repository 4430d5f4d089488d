// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <span>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <espalier/io/file_read.hpp>
#include <espalier/io/path.hpp>
#include <espalier/io/system_error.hpp>

namespace espalier::inline v0::io {

/// A hidden name beside `path`, in the same directory so that a rename can replace it: .x.tmp-<process>-<count>.
inline std::string temporary_beside(const std::string& path) {
  static std::atomic<unsigned> count{0};
  const std::string name = base_name(path).substr(0, 200);
  return join(parent(path), format(".{}.tmp-{}-{}", name, static_cast<long>(::getpid()), count.fetch_add(1)));
}

/// Makes what has been renamed, made or removed in a directory survive a loss of power.
inline void sync_directory(const std::string& path) {
  Descriptor fd;
  do {
    fd = Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  } while (!fd && errno == EINTR);
  if (!fd) fail_system("open", path);
  int result;
  do {
    result = ::fsync(*fd);
  } while (result != 0 && errno == EINTR);
  // Some file systems cannot sync a directory and say so; there is nothing more to be done on these.
  if (result != 0 && errno != EINVAL && errno != ENOTSUP) fail_system("sync", path);
}

/// A file that is being written under a temporary name; commit() gives it its own name. Without commit() it vanishes.
class OutputFile {
 public:
  explicit OutputFile(std::string path) : path_(std::move(path)) {
    do {
      temporary_ = temporary_beside(path_);
      fd_ = Descriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    } while (!fd_ && (errno == EINTR || errno == EEXIST));
    if (!fd_) fail_system("create a file", temporary_);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(*fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_system("write", path_);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      written_ += static_cast<std::uint64_t>(n);
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  std::uint64_t written() const { return written_; }

  /// On disk first, then under its name, then the name on disk: at no moment is half a file seen.
  void commit() {
    int result;
    do {
      result = ::fsync(*fd_);
    } while (result != 0 && errno == EINTR);
    if (result != 0) fail_system("sync", path_);
    if (::close(fd_.release()) != 0 && errno != EINTR) fail_system("close", path_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_system("replace", path_);
    temporary_.clear();
    sync_directory(parent(path_));
  }

 private:
  std::string path_, temporary_;
  Descriptor fd_;
  std::uint64_t written_ = 0;
};

/// write_file_atomically("config.json", [&](io::OutputFile& out) { out.write(text); });
template <std::invocable<OutputFile&> Fill>
void write_file_atomically(const std::string& path, Fill&& fill) {
  OutputFile out(path);
  fill(out);
  out.commit();
}
inline void write_file_atomically(const std::string& path, std::string_view text) {
  write_file_atomically(path, [&](OutputFile& out) { out.write(text); });
}
inline void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  write_file_atomically(path, [&](OutputFile& out) { out.write(bytes); });
}

}  // namespace espalier::inline v0::io
