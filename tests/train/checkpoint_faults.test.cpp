// SPDX-License-Identifier: MIT
// Every call by which a checkpoint reaches the disk is killed or made to fail, one after the other. The calls of the C
// library are replaced in this program, so the test needs no tracer and runs everywhere.
#include <doctest/doctest.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/checkpoint_worker.hpp"

using namespace espalier;

namespace {

/// "fsync:3:kill", "write:7:torn", "rename:1:5" (an errno): what happens at the n-th call of that name.
struct Fault {
  bool armed = false;
  char call[16] = "";
  long at = 0, seen = 0;
  int error = 0;  // 0: kill, -1: write half and kill, -2: write half and go on
} fault;

/// Whether the call must fail with errno set.
bool strikes(const char* call) {
  if (!fault.armed || std::strcmp(call, fault.call) != 0 || ++fault.seen != fault.at) return false;
  if (fault.error == 0) ::raise(SIGKILL);
  errno = fault.error;
  return true;
}

}  // namespace

extern "C" {
ssize_t write(int fd, const void* data, size_t n) {
  if (fd > 2 && strikes("write")) {
    if (fault.error > 0) return -1;
    const auto half = ::syscall(SYS_write, fd, data, n / 2);
    if (fault.error == -1) ::raise(SIGKILL);
    return half;
  }
  return ::syscall(SYS_write, fd, data, n);
}
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (strikes("open")) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int close(int fd) {
  if (strikes("close")) {
    const int error = errno;
    ::syscall(SYS_close, fd);
    errno = error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_close, fd));
}
int fsync(int fd) { return strikes("fsync") ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }
int rename(const char* from, const char* to) noexcept {
  return strikes("rename") ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  return strikes("renameat2") ? -1 : static_cast<int>(::syscall(SYS_renameat2, a, from, b, to, flags));
}
int mkdir(const char* path, mode_t mode) noexcept {
  return strikes("mkdir") ? -1 : static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
int unlink(const char* path) noexcept {
  return strikes("unlink") ? -1 : static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
int rmdir(const char* path) noexcept {
  return strikes("rmdir") ? -1 : static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}
}

TEST_CASE("worker" * doctest::skip()) {
  const std::string text = std::getenv("ESPALIER_FAULT");
  if (!text.empty()) {
    const auto first = text.find(':'), second = text.rfind(':');
    text.copy(fault.call, first);
    fault.at = std::atol(text.c_str() + first + 1);
    const std::string what = text.substr(second + 1);
    fault.error = what == "kill" ? 0 : what == "torn" ? -1 : what == "short" ? -2 : std::atoi(what.c_str());
  }
  test::work(std::getenv("ESPALIER_WORKER"), [](bool on) { fault.armed = on; });
}

namespace {

/// Sanitizers make a process slow to start, and this test starts a thousand: they see every fourth call.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr long kEvery = 4;
#else
constexpr long kEvery = 1;
#endif

std::string uninterrupted() {
  const test::TemporaryDirectory folder;
  REQUIRE(test::exit_code(test::run_worker(folder.path().string())) == 0);
  const std::string result = test::slurp(folder / "result");
  REQUIRE(result.size() == 64);
  return result;
}

}  // namespace

TEST_CASE("Killed at any call, a run resumes and ends in the bits of one that was left alone") {
  const std::string expected = uninterrupted();
  long kills = 0, after_a_checkpoint = 0;
  const auto sweep = [&](const std::string& call, const std::string& how, long stride) {
    long here = 0;
    for (long k = 1; k < 1000; k += stride * kEvery, ++here) {
      const test::TemporaryDirectory folder;
      const std::string place = folder.path().string();
      const int status = test::run_worker(place, call + ":" + std::to_string(k) + ":" + how);
      if (!test::killed(status)) {
        CHECK(test::exit_code(status) == 0);
        break;
      }
      after_a_checkpoint += test::latest(place) > 0;
      const std::string trouble = test::recovers(place, expected);
      CHECK_MESSAGE(trouble.empty(), call, " ", k, ": ", trouble);
    }
    CHECK_MESSAGE(here > 0, call);
    kills += here;
  };
  for (const char* call : {"open", "close", "fsync", "rename", "renameat2", "mkdir", "unlink", "rmdir"})
    sweep(call, "kill", 1);
  sweep("write", "kill", 1);
  sweep("write", "torn", 7);
  MESSAGE("killed ", kills, " times, ", after_a_checkpoint, " of them with a checkpoint to go on from");
  CHECK(kills >= 200 / kEvery);
  CHECK(after_a_checkpoint >= 100 / kEvery);
}

TEST_CASE("When the disk is full or broken at any call, what was there before still loads") {
  const std::string expected = uninterrupted();
  long failures = 0, errors = 0;
  const auto sweep = [&](const std::string& call, int error, long stride) {
    for (long k = 1; k < 1000; k += stride * kEvery) {
      const test::TemporaryDirectory folder;
      const std::string place = folder.path().string();
      const int status = test::run_worker(place, call + ":" + std::to_string(k) + ":" + std::to_string(error));
      REQUIRE(WIFEXITED(status));  // an error is told, never a crash
      if (test::exit_code(status) == 0 && k > 60) break;
      ++failures;
      if (test::exit_code(status) == 3) {
        ++errors;
        const std::string message = test::slurp(place + "/error");
        CHECK_MESSAGE(message.find(std::strerror(error)) != std::string::npos, message);
        CHECK_MESSAGE(message.find(place) != std::string::npos, message);
      }
      const std::string trouble = test::recovers(place, expected);
      CHECK_MESSAGE(trouble.empty(), call, " ", k, " ", std::strerror(error), ": ", trouble);
      if (test::exit_code(status) == 0) break;
    }
  };
  for (const int error : {ENOSPC, EIO})
    for (const char* call : {"open", "fsync", "rename", "renameat2", "mkdir"}) sweep(call, error, 3);
  sweep("write", ENOSPC, 9), sweep("write", EIO, 11), sweep("close", EIO, 5), sweep("unlink", EIO, 1),
      sweep("rmdir", EIO, 1);
  CHECK(errors >= 40 / kEvery);
}

TEST_CASE("Calls that are interrupted or do less than asked for are simply continued") {
  const std::string expected = uninterrupted();
  for (const std::string what :
       {"write:4:short", "write:40:short", "write:9:4", "open:2:4", "open:3:4", "fsync:1:4", "fsync:2:4"}) {
    const test::TemporaryDirectory folder;
    CHECK_MESSAGE(test::exit_code(test::run_worker(folder.path().string(), what)) == 0, what);
    CHECK(test::slurp(folder / "result") == expected);
  }
}
