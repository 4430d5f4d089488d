// SPDX-License-Identifier: MIT
// The same kills as in checkpoint_faults.test.cpp, but dealt out by the kernel to a program that knows nothing of them:
// strace -e inject=<call>:signal=KILL:when=<n>. Needs strace and the permission to trace; says so where it has neither.
#include <doctest/doctest.h>

#include <string>

#include "support/checkpoint_worker.hpp"

using namespace espalier;

TEST_CASE("worker" * doctest::skip()) {
  test::work(std::getenv("ESPALIER_WORKER"), [](bool) {});
}

TEST_CASE("Killed from outside at any system call, a run resumes and ends in the same bits") {
  std::string expected;
  {
    const test::TemporaryDirectory folder;
    REQUIRE(test::exit_code(test::run_worker(folder.path().string())) == 0);
    expected = test::slurp(folder / "result");
    REQUIRE(expected.size() == 64);
  }
  // Opening is traced in the whole process, so its first kills hit the loader; the others are calls of checkpoints
  // alone.
  const auto command = [](const std::string& call, int k) {
    return std::vector<std::string>{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                                    "inject=" + call + ":signal=KILL:when=" + std::to_string(k)};
  };
  {
    const test::TemporaryDirectory folder;
    if (test::exit_code(test::run_worker(folder.path().string(), "", command("mkdir", 1000))) != 0) {
      MESSAGE("no strace, or it may not trace here: only the kills from inside were tried");
      return;
    }
    CHECK(test::slurp(folder / "result") == expected);
  }
  int kills = 0;
  const auto sweep = [&](const std::string& call, int first, int stride) {
    int here = 0;
    for (int k = first; k < 1000; k += stride, ++here) {
      const test::TemporaryDirectory folder;
      const std::string place = folder.path().string();
      if (!test::killed(test::run_worker(place, "", command(call, k)))) break;
      const std::string trouble = test::recovers(place, expected);
      CHECK_MESSAGE(trouble.empty(), call, " ", k, ": ", trouble);
    }
    CHECK_MESSAGE(here > 0, call);
    kills += here;
  };
  for (const char* call : {"fsync", "rename", "renameat2", "mkdir", "unlink", "rmdir"}) sweep(call, 1, 1);
  sweep("openat", 5, 2), sweep("write", 2, 4);
  MESSAGE("killed ", kills, " times");
  CHECK(kills >= 100);
}
