// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/sha256.hpp>
#include <espalier/io/staged_directory.hpp>

namespace espalier::inline v0 {

/// A folder of checkpoints:   checkpoint-<step>/ { state.safetensors, MANIFEST.json },   LATEST names the newest.
/// A checkpoint appears under its name complete and on disk, then LATEST is replaced, then older ones go. The manifest
/// lists every file with its size and SHA-256, and carries a hash of itself.
class CheckpointDirectory {
 public:
  explicit CheckpointDirectory(std::string path, Index keep = 2)
      : path_(std::move(path)), keep_(std::max<Index>(2, keep)) {}

  const std::string& path() const { return path_; }

  /// fill(staging directory) writes the files and returns the manifest; what it lists as "files" is what will be
  /// verified.
  template <class Fill>
  std::string write(Index step, Fill&& fill) {
    make_path(path_);
    remove_leftovers();
    const std::string name = name_of_step(step), target = io::join(path_, name);
    io::StagedDirectory staged(target, /*overwrite=*/true);
    json::Value manifest = fill(staged);
    manifest.set("sha256", sha256_hex(manifest.dump()));
    json::write_file(staged / "MANIFEST.json", manifest);
    staged.commit();
    io::write_file_atomically(io::join(path_, "LATEST"), name + '\n');
    remove_older(step);
    return target;
  }

  /// Checkpoints, best first: the one that LATEST names, then by falling step. None if there is no such folder.
  std::vector<std::string> list() const {
    std::vector<std::string> names;
    if (!io::is_directory(path_)) return names;
    for (const std::string& name : io::list_directory(path_))
      if (step_of(name) >= 0) names.push_back(name);
    std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return step_of(a) > step_of(b); });
    const std::string latest = io::join(path_, "LATEST");
    if (io::is_regular_file(latest)) {
      std::string name = io::read_file(latest, 256);
      while (!name.empty() && name.back() == '\n') name.pop_back();
      const auto at = std::find(names.begin(), names.end(), name);
      if (at != names.end()) std::rotate(names.begin(), at, at + 1);
    }
    for (std::string& name : names) name = io::join(path_, name);
    return names;
  }

  /// The manifest of a checkpoint all of whose files are what was written; anything else is Errc::bad_input.
  static json::Value verify(const std::string& checkpoint) {
    const std::string path = io::join(checkpoint, "MANIFEST.json");
    json::Value manifest = json::read_file(path);
    if (!manifest.is_object() || manifest.text("format", "") != "espalier-checkpoint") {
      fail(Errc::bad_input, "{}: not the manifest of a checkpoint", path);
    }
    const std::string promised = manifest.text("sha256");
    manifest.erase("sha256");
    if (sha256_hex(manifest.dump()) != promised)
      fail(Errc::bad_input, "{}: damaged: its hash is not what it says", path);
    for (const json::Value& file : manifest.at("files").elements("files")) {
      const std::string inner = io::join(checkpoint, file.text("name"));
      const io::File opened(inner);
      if (opened.size() != file.at("bytes").as_uint64("bytes")) {
        fail(Errc::bad_input, "{}: {} bytes, the manifest says {}", inner, opened.size(), file.at("bytes").as_uint64());
      }
      if (sha256_of_file(inner) != file.text("sha256")) {
        fail(Errc::bad_input, "{}: damaged: its SHA-256 is not that of the manifest", inner);
      }
    }
    return manifest;
  }

 private:
  static std::string name_of_step(Index step) { return format("checkpoint-{}", step); }
  /// −1: not the name of a checkpoint.
  static Index step_of(std::string_view name) {
    constexpr std::string_view prefix = "checkpoint-";
    if (!name.starts_with(prefix) || name.size() == prefix.size()) return -1;
    Index step = -1;
    const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), step);
    return error == std::errc() && end == name.data() + name.size() && name_of_step(step) == name ? step : -1;
  }
  static void make_path(const std::string& path) {
    if (io::is_directory(path)) return;
    make_path(io::parent(path));
    io::make_directory(path);
    io::sync_directory(io::parent(path));
  }

  /// What a process that is gone was writing or removing.
  void remove_leftovers() const {
    for (const std::string& name : io::list_directory(path_)) {
      const auto at = name.rfind(".tmp-");
      if (at == std::string::npos || (!name.starts_with(".checkpoint-") && !name.starts_with(".LATEST"))) continue;
      int process = 0;
      std::from_chars(name.data() + at + 5, name.data() + name.size(), process);
      if (process <= 0 || ::kill(process, 0) == 0 || errno != ESRCH) continue;
      const std::string path = io::join(path_, name);
      if (io::is_directory(path)) {
        io::remove_tree(path);
      } else if (::unlink(path.c_str()) != 0) {
        io::fail_system("remove", path);
      }
    }
  }
  /// Half a checkpoint is never seen under its name, not even while it is removed.
  void remove_older(Index step) const {
    std::vector<Index> older;
    for (const std::string& name : io::list_directory(path_))
      if (const Index s = step_of(name); s >= 0 && s < step) older.push_back(s);
    std::sort(older.rbegin(), older.rend());
    for (std::size_t i = std::size_t(keep_ - 1); i < older.size(); ++i) {
      const std::string path = io::join(path_, name_of_step(older[i])), aside = io::temporary_beside(path);
      if (::rename(path.c_str(), aside.c_str()) != 0) io::fail_system("remove", path);
      io::remove_tree(aside);
    }
  }

  std::string path_;
  Index keep_;
};

}  // namespace espalier::inline v0
