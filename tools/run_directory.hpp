// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/file.hpp>
#include <espalier/io/json.hpp>
#include <string>
#include <vector>

namespace espalier::tool {

/// Refuses an output directory that exists, unless it may be replaced and looks like something this tool wrote.
/// `inputs` are never inside what is replaced. Touches nothing.
void check_output(const std::string& directory, bool overwrite, const std::vector<std::string>& inputs);
/// The same for a result of one file.
void check_output_file(const std::string& path, bool overwrite);

/// Where a run keeps what it says and writes: run.json, metrics.jsonl, checkpoint-<step>/, report.html and the result.
class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return io::join(path_, name); }

  /// Makes it, in place of an old one.
  void open(bool overwrite) const;
  /// fill(directory) writes a model or an adapter into a directory that does not exist yet; its files then move here
  /// one by one, the configuration last, so that whoever sees that sees everything.
  template <class F>
  void place(F&& fill) const {
    const std::string staging = *this / ".result";
    if (io::exists(staging)) io::remove_tree(staging);
    fill(staging);
    move_up(staging);
  }
  void write(const std::string& name, const std::string& text) const {
    io::write_file_atomically(*this / name, std::string_view(text));
  }
  void remove_checkpoints() const;

 private:
  void move_up(const std::string& staging) const;
  std::string path_;
};

}  // namespace espalier::tool
