// SPDX-License-Identifier: MIT
#include <csignal>
#include <doctest/doctest.h>
#include <espalier/io/file.hpp>
#include <filesystem>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "support/temporary_directory.hpp"

using namespace espalier;
namespace fs = std::filesystem;

namespace {

/// The code with which an action was refused; a failed check if it was not.
template <class Action>
Errc code_of(Action&& action, std::string* message = nullptr) {
  try {
    action();
  } catch (const Error& e) {
    if (message != nullptr) *message = e.what();
    return e.code();
  }
  FAIL("nothing was refused");
  return Errc::failed;
}

}  // namespace

TEST_CASE("a file is read whole and at any position") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "x", "0123456789");
  CHECK(io::read_file(folder / "x") == "0123456789");
  const io::File file(folder / "x");
  CHECK(file.size() == 10);
  std::byte part[3];
  file.read_at(7, part);
  CHECK(std::to_integer<char>(part[0]) == '7');
  CHECK(std::to_integer<char>(part[2]) == '9');
  CHECK(code_of([&] { file.read_at(8, part); }) == Errc::usage);
  CHECK(code_of([&] { file.read_at(~std::uint64_t{0}, part); }) == Errc::usage);
}

TEST_CASE("a limit keeps a large file out of memory") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "sparse", "");
  fs::resize_file(folder / "sparse", std::uintmax_t{1} << 40);
  std::string message;
  CHECK(code_of([&] { io::read_file(folder / "sparse", 1000); }, &message) == Errc::bad_input);
  CHECK(message.find("at most 1000") != std::string::npos);
}

TEST_CASE("a file that shrinks while it is read is an error, not a fault") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "x", std::string(10000, 'x'));
  const io::File file(folder / "x");
  fs::resize_file(folder / "x", 100);
  std::byte all[10000];
  CHECK(code_of([&] { file.read_at(0, all); }) == Errc::bad_input);
}

TEST_CASE("what is not a regular file is refused at once: FIFO, directory, device, socket, nothing") {
  const test::TemporaryDirectory folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  fs::create_directory(folder / "directory");
  fs::create_symlink("/dev/zero", folder / "endless");
  fs::create_symlink("loop", folder / "loop");
  for (const char* name : {"fifo", "directory", "endless", "loop", "missing"}) {
    CAPTURE(name);
    CHECK(code_of([&] { io::read_file(folder / name); }) == Errc::bad_input);
  }
  std::string message;
  code_of([&] { io::read_file(folder / "missing"); }, &message);
  CHECK(message == (folder / "missing") + ": cannot open: No such file or directory");
}

TEST_CASE("a file is replaced whole, and nothing else is left in its directory") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "config.json";
  io::write_file_atomically(path, "one");
  CHECK(test::slurp(path) == "one");
  io::write_file_atomically(path, "two");
  CHECK(test::slurp(path) == "two");
  CHECK(folder.entries() == 1);

  SUBCASE("the old one is still whole while the new one is written") {
    io::write_file_atomically(path, [&](io::OutputFile& out) {
      out.write("three");
      CHECK(test::slurp(path) == "two");
      CHECK(out.written() == 5);
    });
    CHECK(test::slurp(path) == "three");
  }
  SUBCASE("a writer that throws leaves the old one and no trace") {
    const auto half = [&](io::OutputFile& out) {
      out.write("half");
      fail(Errc::numerical, "stop");
    };
    CHECK(code_of([&] { io::write_file_atomically(path, half); }) == Errc::numerical);
    CHECK(test::slurp(path) == "two");
  }
  SUBCASE("a link is replaced, not followed") {
    test::spill(folder / "other", "other");
    fs::remove(path);
    fs::create_symlink("other", path);
    io::write_file_atomically(path, "mine");
    CHECK(test::slurp(folder / "other") == "other");
    CHECK(fs::is_regular_file(fs::symlink_status(path)));
    fs::remove(folder / "other");
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("what cannot be written says which file and why, and leaves nothing behind") {
  const test::TemporaryDirectory folder;
  std::string message;
  CHECK(code_of([&] { io::write_file_atomically(folder / "no/such/x", "text"); }, &message) == Errc::failed);
  CHECK(message.find("no/such/") != std::string::npos);
  CHECK(message.find("No such file or directory") != std::string::npos);
  fs::create_directory(folder / "directory");
  CHECK(code_of([&] { io::write_file_atomically(folder / "directory", "text"); }) == Errc::failed);
  CHECK(folder.entries() == 1);
}

TEST_CASE("a full disk is a lack of resources, and the old file survives") {
  const test::TemporaryDirectory folder;
  test::spill(folder / "x", "old");
  const pid_t child = ::fork();  // the limit is for the whole process
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int result = 1;
    try {
      io::write_file_atomically(folder / "x", std::string(1 << 17, 'n'));
    } catch (const Error& e) {
      result = e.code() == Errc::resources ? 0 : 2;
    }
    ::_exit(result);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(test::slurp(folder / "x") == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a reader never sees half a file while it is replaced over and over") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x", a(50000, 'a'), b(70000, 'b');
  io::write_file_atomically(path, a);
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) io::write_file_atomically(path, i % 2 == 0 ? b : a);
  });
  int torn = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = io::read_file(path);
    torn += text != a && text != b;
  }
  writer.join();
  CHECK(torn == 0);
}

TEST_CASE("a name out of a file is one path component") {
  for (const char* good : {"model.safetensors", "model-00001-of-00003.safetensors", "a", "..a", "a..", "x y", "-x", "\xc3\xa9"}) {
    CAPTURE(good);
    CHECK(io::is_single_component(good));
  }
  using namespace std::string_view_literals;
  const std::string long_name(256, 'x');
  for (const std::string_view bad : {""sv, "."sv, ".."sv, "/etc/passwd"sv, "../x"sv, "sub/../../x"sv, "sub/x"sv, "x/"sv, "..\\x"sv, "\\\\host\\x"sv,
                                     "C:x"sv, "C:\\x"sv, "x\0y"sv, "\0"sv, "x\ny"sv, "\x1b[2J"sv, "x\x7f"sv, std::string_view(long_name)}) {
    CAPTURE(bad);
    CHECK_FALSE(io::is_single_component(bad));
  }
  CHECK(io::is_single_component(std::string(255, 'x')));
}

TEST_CASE("a link is followed inside the directory and into the blobs of the same cache, nowhere else") {
  const test::TemporaryDirectory folder;
  const std::string repository = folder / "models--a--b", model = repository + "/snapshots/0123";
  fs::create_directories(model + "/sub");
  fs::create_directories(repository + "/blobs/deeper");
  fs::create_directories(folder / "models--other/blobs");
  test::spill(repository + "/blobs/hash", "blob");
  test::spill(repository + "/blobs/deeper/x", "deeper");
  test::spill(folder / "models--other/blobs/hash", "other");
  test::spill(folder / "secret", "secret");
  test::spill(model + "/plain", "plain");
  test::spill(model + "/sub/x", "sub");
  const auto link = [&](const char* name, const std::string& to) { fs::create_symlink(to, fs::path(model) / name); };
  link("cached", "../../blobs/hash");
  link("inside", "plain");
  link("out", "../../../secret");
  link("absolute", folder / "secret");
  link("other-cache", "../../../models--other/blobs/hash");
  link("deeper", "../../blobs/deeper/x");
  link("below", "sub/x");
  link("chain", "out");
  link("dangling", "nowhere");
  link("device", "/dev/zero");

  for (const char* good : {"plain", "cached", "inside"}) {
    CAPTURE(good);
    CHECK_NOTHROW(io::resolve_inside(model, good));
  }
  CHECK(test::slurp(io::resolve_inside(model, "cached")) == "blob");
  CHECK_NOTHROW(io::resolve_inside(model + "/", "plain"));
  for (const char* bad : {"out", "absolute", "other-cache", "deeper", "below", "chain", "dangling", "device", "missing", "..", "sub/x"}) {
    CAPTURE(bad);
    CHECK(code_of([&] { io::resolve_inside(model, bad); }) == Errc::bad_input);
  }
  SUBCASE("a directory that is itself a link means what it leads to") {
    fs::create_directory_symlink(model, folder / "model");
    CHECK_NOTHROW(io::resolve_inside(folder / "model", "plain"));
    CHECK_NOTHROW(io::resolve_inside(folder / "model", "cached"));
    CHECK(code_of([&] { io::resolve_inside(folder / "model", "out"); }) == Errc::bad_input);
  }
  SUBCASE("a folder called blobs is nothing special outside a cache") {
    fs::create_directories(folder / "a/b/c");
    fs::create_directories(folder / "a/blobs");
    test::spill(folder / "a/blobs/x", "x");
    fs::create_symlink("../../blobs/x", folder / "a/b/c/x");
    CHECK(code_of([&] { io::resolve_inside(folder / "a/b/c", "x"); }) == Errc::bad_input);
  }
}

TEST_CASE("paths are taken apart and put together") {
  CHECK(io::join("a", "b") == "a/b");
  CHECK(io::join("a/", "b") == "a/b");
  CHECK(io::join("", "b") == "b");
  CHECK(io::parent("a/b") == "a");
  CHECK(io::parent("a/b/") == "a");
  CHECK(io::parent("a") == ".");
  CHECK(io::parent("/a") == "/");
  CHECK(io::parent("/") == "/");
  CHECK(io::base_name("a/b") == "b");
  CHECK(io::base_name("a/b/") == "b");
  CHECK(io::base_name("b") == "b");
}

TEST_CASE("a staged directory appears whole, at commit, or not at all") {
  const test::TemporaryDirectory folder;
  const std::string target = folder / "out";
  SUBCASE("committed") {
    io::StagedDirectory staged(target);
    io::write_file_atomically(staged / "config.json", "{}");
    io::make_directory(staged / "adapter");
    io::write_file_atomically(io::join(staged / "adapter", "x"), "x");
    CHECK_FALSE(fs::exists(target));
    staged.commit();
    CHECK(test::slurp(target + "/config.json") == "{}");
    CHECK(test::slurp(target + "/adapter/x") == "x");
    CHECK(folder.entries() == 1);
  }
  SUBCASE("left without commit") {
    {
      io::StagedDirectory staged(target + "/");
      io::make_directory(staged / "sub");
      io::write_file_atomically(staged / "sub/x", "x");
      fs::create_symlink("/", staged / "link");
      CHECK(folder.entries() == 1);
    }
    CHECK(folder.entries() == 0);
  }
  SUBCASE("an existing directory, full or empty, a file or a link is refused before anything is written") {
    fs::create_directory(target);
    CHECK(code_of([&] { io::StagedDirectory staged(target); }) == Errc::usage);
    fs::remove(target);
    test::spill(target, "file");
    CHECK(code_of([&] { io::StagedDirectory staged(target); }) == Errc::usage);
    CHECK(code_of([&] { io::StagedDirectory staged(target, true); }) == Errc::usage);
    fs::remove(target);
    fs::create_symlink("nowhere", target);
    CHECK(code_of([&] { io::StagedDirectory staged(target, true); }) == Errc::usage);
    CHECK(folder.entries() == 1);
  }
  SUBCASE("a target that appears meanwhile is refused at commit") {
    io::StagedDirectory staged(target);
    fs::create_directory(target);
    CHECK(code_of([&] { staged.commit(); }) == Errc::usage);
    CHECK(fs::is_empty(target));
  }
  SUBCASE("overwritten: the old one is whole until the new one is, and then gone") {
    fs::create_directories(target + "/old/deep");
    test::spill(target + "/old/deep/x", "old");
    test::spill(folder / "kept", "kept");
    fs::create_symlink("../kept", target + "/link");
    io::StagedDirectory staged(target, true);
    io::write_file_atomically(staged / "new", "new");
    CHECK(test::slurp(target + "/old/deep/x") == "old");
    staged.commit();
    CHECK(test::slurp(target + "/new") == "new");
    CHECK_FALSE(fs::exists(target + "/old"));
    CHECK(test::slurp(folder / "kept") == "kept");
    CHECK(folder.entries() == 2);
  }
  SUBCASE("overwriting what is not there is plain writing") {
    io::StagedDirectory staged(target, true);
    staged.commit();
    CHECK(fs::is_directory(target));
  }
  SUBCASE("names that are no name of a new directory") {
    for (const char* bad : {"", "/", ".", "..", "x/.."}) {
      CAPTURE(bad);
      CHECK(code_of([&] { io::StagedDirectory staged(bad, true); }) == Errc::usage);
    }
  }
}
