// SPDX-License-Identifier: MIT
#include "run_directory.hpp"

#include <algorithm>
#include <cstdio>

#include "trouble.hpp"

namespace espalier::tool {

void check_output(const std::string& directory, bool overwrite, const std::vector<std::string>& inputs) {
  if (directory.empty())
    throw Trouble{Errc::usage, "-o DIR is missing: where should the result go?", "", "e.g. -o out"};
  if (!io::exists(directory)) return;
  if (!overwrite) {
    throw Trouble{Errc::usage, directory + " exists already", "--out",
                  "choose another name, or replace it with --overwrite"};
  }
  if (!io::is_directory(directory))
    throw Trouble{Errc::usage, directory + " is not a directory: it is not replaced", "--out", ""};
  const std::string target = io::resolve(directory);
  for (const std::string& input : inputs) {
    if (input.empty() || !io::exists(input)) continue;
    const std::string path = io::resolve(input);
    if (path == target || path.starts_with(target + "/")) {
      throw Trouble{Errc::usage, directory + " holds " + input + ", which this run reads: it is not replaced", "--out",
                    "choose another name"};
    }
  }
  const auto names = io::list_directory(directory);
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (names.empty() || has("run.json") || has("config.json") || has("adapter_config.json")) return;
  throw Trouble{Errc::usage, directory + " is neither a run nor a model nor an adapter: it is not replaced", "--out",
                "choose another name"};
}

void check_output_file(const std::string& path, bool overwrite) {
  if (path.empty()) throw Trouble{Errc::usage, "-o FILE is missing: where should the result go?", "", "e.g. -o small.gguf"};
  if (!io::exists(path)) return;
  if (io::is_directory(path)) throw Trouble{Errc::usage, path + " is a directory, and a GGUF is one file", "--out", "e.g. -o " + io::join(path, "model.gguf")};
  if (overwrite) return;
  throw Trouble{Errc::usage, path + " exists already", "--out", "choose another name, or replace it with --overwrite"};
}

void RunDirectory::open(bool overwrite) const {
  if (overwrite && io::exists(path_)) {
    const std::string aside = io::temporary_beside(path_);
    if (std::rename(path_.c_str(), aside.c_str()) != 0) io::fail_system("replace", path_);
    io::remove_tree(aside);
  }
  std::string made;
  for (std::size_t at = 0; at <= path_.size();) {  // and the directories above it
    const std::size_t slash = std::min(path_.find('/', at), path_.size());
    made = path_.substr(0, slash);
    at = slash + 1;
    if (!made.empty() && !io::exists(made)) io::make_directory(made);
  }
}

void RunDirectory::move_up(const std::string& staging) const {
  auto names = io::list_directory(staging);
  const auto last = [](const std::string& n) { return n == "config.json" || n == "adapter_config.json"; };
  std::sort(names.begin(), names.end(),
            [&](const auto& a, const auto& b) { return last(a) != last(b) ? last(b) : a < b; });
  for (const std::string& name : names) {
    if (std::rename(io::join(staging, name).c_str(), (*this / name).c_str()) != 0)
      io::fail_system("move", io::join(staging, name));
  }
  io::remove_tree(staging);
  io::sync_directory(path_);
}

void RunDirectory::remove_checkpoints() const {
  for (const std::string& name : io::list_directory(path_)) {
    if (name.starts_with("checkpoint-") && io::is_directory(*this / name)) io::remove_tree(*this / name);
    if (name == "LATEST") std::remove((*this / name).c_str());
  }
}

}  // namespace espalier::tool
