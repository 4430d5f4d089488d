// SPDX-License-Identifier: MIT
#pragma once
// Runs the built tool as a person would: arguments in, two streams and an exit code out.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tooltest {

namespace fs = std::filesystem;

/// A folder of its own, gone at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "espalier-tool-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      names.push_back(fs::relative(entry.path(), path_).string());
    return names;
  }

 private:
  fs::path path_;
};

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
inline void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

struct Result {
  int code = -1;
  std::string out, err;
  bool says(const std::string& text) const { return err.find(text) != std::string::npos; }
  bool prints(const std::string& text) const { return out.find(text) != std::string::npos; }
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

struct How {
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string stdout_to = {};        ///< instead of a file that is read back
  std::string interrupt_after = {};  ///< SIGINT as soon as stderr holds this
  int signal = SIGINT;
  rlim_t file_bytes = RLIM_INFINITY;    ///< a disk on which no file can be larger
  rlim_t memory_bytes = RLIM_INFINITY;  ///< a machine with so much of it
  bool terminal = false;                ///< stderr is one, of the kind xterm
};

/// A terminal that nobody looks at: what is written to `writer` comes out of `reader`.
struct Terminal {
  Terminal() : reader(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    if (reader < 0 || ::grantpt(reader) != 0 || ::unlockpt(reader) != 0) return;
    writer = ::open(::ptsname(reader), O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  ~Terminal() { ::close(reader), ::close(writer); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// A system without /dev/pts has none.
  bool works() const { return writer >= 0; }
  /// All that is written until the last process that holds it has ended.
  std::string drained() {
    ::close(std::exchange(writer, -1));
    std::string text;
    char some[4096];
    for (ssize_t n; (n = ::read(reader, some, sizeof some)) > 0;) text.append(some, std::size_t(n));
    return text;
  }

  int reader, writer = -1;
};

/// A started tool: its process number and where its streams go.
inline Result run(std::vector<std::string> arguments, const How& how = {}) {
  const Scratch scratch;
  const std::string out = how.stdout_to.empty() ? scratch / "out" : how.stdout_to, err = scratch / "err";
  std::optional<Terminal> terminal;
  if (how.terminal) terminal.emplace();
  const pid_t child = ::fork();
  if (child == 0) {
    const int o = ::open(out.c_str(), O_WRONLY | O_CREAT, 0600), e = ::open(err.c_str(), O_WRONLY | O_CREAT, 0600),
              i = ::open("/dev/null", O_RDONLY);
    ::dup2(i, 0), ::dup2(o, 1), ::dup2(terminal ? terminal->writer : e, 2);
    const rlimit file{how.file_bytes, how.file_bytes}, memory{how.memory_bytes, how.memory_bytes};
    ::setrlimit(RLIMIT_FSIZE, &file), ::setrlimit(RLIMIT_AS, &memory);
    ::setenv("OMP_NUM_THREADS", "1", 1);
    if (terminal) ::setenv("TERM", "xterm", 1), ::unsetenv("NO_COLOR");
    for (const auto& [name, value] : how.environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    std::string tool = ESPALIER_TOOL;
    argv.push_back(tool.data());
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  if (!how.interrupt_after.empty()) {
    for (int i = 0; i < 6000 && ::waitpid(child, &status, WNOHANG) == 0; ++i) {
      if (read(err).find(how.interrupt_after) != std::string::npos) {
        ::kill(child, how.signal);
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  Result r;
  if (terminal) r.err = terminal->drained();
  if (::waitpid(child, &status, 0) < 0 && how.interrupt_after.empty()) return r;
  r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  r.out = how.stdout_to.empty() ? read(out) : "";
  if (!terminal) r.err = read(err);
  return r;
}

/// Small checkpoints that transformers made, and text that they can learn: ids in a pattern with some noise.
inline std::string checkpoint(const std::string& name = "llama-gqa") {
  return std::string(ESPALIER_TEST_DATA) + "/hf/" + name;
}
inline std::string token_file(const Scratch& scratch, const std::string& name, int n, int vocabulary = 48,
                              unsigned seed = 1) {
  std::string bytes;
  std::uint32_t x = seed * 2654435761u + 1;
  for (int i = 0; i < n; ++i) {
    x = x * 1664525u + 1013904223u;
    const int id = (x >> 24) % 5 == 0 ? int((x >> 16) % std::uint32_t(vocabulary)) : (i * 7) % vocabulary;
    bytes += char(id & 255), bytes += char(id >> 8);
  }
  write(scratch / name, bytes);
  return scratch / name;
}

inline std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace tooltest
