// SPDX-License-Identifier: MIT
#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <span>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <espalier/core/error.hpp>
#include <espalier/io/system_error.hpp>

namespace espalier::inline v0::io {

/// Closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int operator*() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// A regular file open for reading at any position. Anything else (a FIFO, a device, a directory) is refused at once, unread.
class File {
 public:
  explicit File(std::string path) : path_(std::move(path)) {
    do {
      fd_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    } while (!fd_ && errno == EINTR);
    if (!fd_) fail_reading(path_);
    struct stat status;
    if (::fstat(*fd_, &status) != 0) fail_system("examine", path_);
    if (!S_ISREG(status.st_mode)) fail(Errc::bad_input, "{}: not a regular file", path_);
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  const std::string& path() const { return path_; }
  /// Bytes, when it was opened.
  std::uint64_t size() const { return size_; }

  /// Fills `out` from `offset` on. A file that has become shorter is an error, never a fault.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const {
    require(offset <= size_ && out.size() <= size_ - offset, "{}: bytes {} + {} of a file of {}", path_, offset,
            out.size(), size_);
    while (!out.empty()) {
      const ssize_t n = ::pread(*fd_, out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_system("read", path_);
      if (n == 0) fail(Errc::bad_input, "{}: the file has become shorter while it was read", path_);
      out = out.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
  }

 private:
  std::string path_;
  Descriptor fd_;
  std::uint64_t size_ = 0;
};

/// The contents of a regular file of at most `limit` bytes.
inline std::string read_file(const std::string& path, std::uint64_t limit = std::uint64_t{64} << 20) {
  const File file(path);
  if (file.size() > limit) fail(Errc::bad_input, "{}: {} bytes, at most {} are read here", path, file.size(), limit);
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  return text;
}

}  // namespace espalier::inline v0::io
