// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/error.hpp>
#include <espalier/io/file_read.hpp>
#include <espalier/io/json.hpp>
#include <espalier/io/path.hpp>
#include <espalier/io/safetensors.hpp>

namespace espalier::inline v0 {

/// Why a directory of tensor files was refused. A malformed shard is a MalformedSafetensors.
enum class CheckpointError {
  no_model,         ///< neither model.safetensors nor model.safetensors.index.json
  not_json,         ///< the index is not JSON
  no_weight_map,    ///< the index has no weight_map, or it is not a table
  bad_weight_map,   ///< an entry of weight_map is not a text
  bad_shard_name,   ///< a shard name that is no single path component, or does not end in .safetensors
  shard_outside,    ///< a shard that is a link out of the directory
  missing_shard,    ///< a shard that is not there
  missing_tensor,   ///< a tensor that its shard does not have
  in_two_shards,    ///< a tensor that a second shard has as well
  unlisted_tensor,  ///< a tensor in a shard that weight_map does not name
};

class MalformedCheckpoint : public Error {
 public:
  MalformedCheckpoint(CheckpointError reason, std::string message)
      : Error(Errc::bad_input, std::move(message)), reason_(reason) {}
  CheckpointError reason() const noexcept { return reason_; }

 private:
  CheckpointError reason_;
};

/// model.safetensors.index.json: {"metadata": {…}, "weight_map": {"tensor": "file", …}}. The metadata, with a total_size
/// that many tools get wrong, is not used. Shards are single path components that end in .safetensors.
struct CheckpointIndex {
  std::vector<std::pair<std::string, std::string>> weight_map;  ///< tensor and shard, sorted
  std::vector<std::string> shards;                              ///< sorted, each once
};

inline CheckpointIndex parse_checkpoint_index(std::string_view text, std::string_view source = "index") {
  const auto refuse = [&](CheckpointError reason, std::string_view what) {
    throw MalformedCheckpoint(reason, format("{}: {}", source, what));
  };
  json::Value root;
  try {
    root = json::parse(text, source);
  } catch (const json::SyntaxError& e) {
    throw MalformedCheckpoint(CheckpointError::not_json, e.what());
  }
  const json::Value* map = root.find("weight_map");
  if (map == nullptr || !map->is_object()) refuse(CheckpointError::no_weight_map, "weight_map is not there, or not a table");
  CheckpointIndex index;
  for (const auto& [tensor, shard] : map->members()) {
    if (!shard.is_string()) refuse(CheckpointError::bad_weight_map, format("weight_map: {} is not given a file", printable(tensor)));
    const std::string& name = shard.as_string();
    if (!io::is_single_component(name) || !name.ends_with(".safetensors") || name == ".safetensors") {
      refuse(CheckpointError::bad_shard_name,
             format("weight_map: {} is not the name of a .safetensors file in this directory", printable(name)));
    }
    index.weight_map.emplace_back(tensor, name);
    index.shards.push_back(name);
  }
  std::sort(index.weight_map.begin(), index.weight_map.end());
  std::sort(index.shards.begin(), index.shards.end());
  index.shards.erase(std::unique(index.shards.begin(), index.shards.end()), index.shards.end());
  return index;
}

/// All tensors of a model directory: model.safetensors if it is there, else the shards of model.safetensors.index.json.
/// Every header is validated, and the index against the headers, when this is made; contents are read when asked for.
class TensorFiles {
 public:
  explicit TensorFiles(std::string directory, std::string_view stem = "model") : directory_(std::move(directory)) {
    if (!io::is_directory(directory_)) fail(Errc::bad_input, "{}: not a directory", directory_);
    const std::string single = std::string(stem) + ".safetensors", index = single + ".index.json";
    if (io::exists(io::join(directory_, single))) {
      open(single);
      for (const TensorInfo& tensor : files_.front().tensors()) where_.emplace(tensor.name, Place{&files_.front(), &tensor});
    } else if (io::exists(io::join(directory_, index))) {
      const std::string path = resolved(index);
      open_shards(parse_checkpoint_index(io::read_file(path), io::join(directory_, index)));
    } else {
      const bool pickled = io::exists(io::join(directory_, "pytorch_model.bin"));
      refuse(CheckpointError::no_model, "neither {} nor {} is there{}", single, index,
             pickled ? "; pytorch_model.bin is a pickle, which is never read: convert it to safetensors" : "");
    }
    for (const SafetensorsFile& file : files_) {
      for (const TensorInfo& tensor : file.tensors()) total_bytes_ += tensor.bytes;
    }
  }

  const std::string& directory() const { return directory_; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, place] : where_) all.push_back(name);
    return all;
  }
  Index size() const { return static_cast<Index>(where_.size()); }
  bool contains(std::string_view name) const { return where_.find(name) != where_.end(); }
  const TensorInfo& info(std::string_view name) const { return *place(name).tensor; }
  const SafetensorsFile& file(std::string_view name) const { return *place(name).file; }
  const std::deque<SafetensorsFile>& files() const { return files_; }
  std::uint64_t total_bytes() const { return total_bytes_; }

  /// metadata.format of the first file: "pt" where PyTorch wrote it, empty if it does not say.
  std::string format() const {
    for (const auto& [key, value] : files_.front().metadata()) {
      if (key == "format") return value;
    }
    return {};
  }

  /// All bytes, as stored.
  void read(std::string_view name, std::span<std::byte> out) const {
    const Place& at = place(name);
    at.file->read(*at.tensor, out);
  }
  /// All numbers, converted to T: float, double, BFloat16 or Half.
  template <class T>
  void read_numbers(std::string_view name, std::span<T> out) const {
    const Place& at = place(name);
    at.file->read_numbers(*at.tensor, out);
  }

 private:
  struct Place {
    const SafetensorsFile* file;
    const TensorInfo* tensor;
  };

  template <class... Args>
  [[noreturn]] void refuse(CheckpointError reason, std::string_view pattern, const Args&... args) const {
    throw MalformedCheckpoint(reason, espalier::format("{}: {}", directory_, espalier::format(pattern, args...)));
  }
  const Place& place(std::string_view name) const {
    const auto found = where_.find(name);
    if (found == where_.end()) refuse(CheckpointError::missing_tensor, "there is no tensor {}", printable(name));
    return found->second;
  }
  std::string resolved(const std::string& name) const {
    if (!io::exists(io::join(directory_, name))) refuse(CheckpointError::missing_shard, "{} is not there", printable(name));
    try {
      return io::resolve_inside(directory_, name);
    } catch (const Error& e) {
      throw MalformedCheckpoint(CheckpointError::shard_outside, e.what());
    }
  }
  void open(const std::string& name) { files_.emplace_back(resolved(name)); }

  void open_shards(const CheckpointIndex& index) {
    for (const std::string& shard : index.shards) {
      open(shard);
      for (const TensorInfo& tensor : files_.back().tensors()) {
        const auto [at, fresh] = where_.emplace(tensor.name, Place{&files_.back(), &tensor});
        if (!fresh) {
          refuse(CheckpointError::in_two_shards, "tensor {} is in {} and in {}", printable(tensor.name),
                 io::base_name(at->second.file->path()), printable(shard));
        }
      }
    }
    for (const auto& [tensor, shard] : index.weight_map) {
      const auto at = std::lower_bound(index.shards.begin(), index.shards.end(), shard) - index.shards.begin();
      const auto found = where_.find(tensor);
      if (found == where_.end() || found->second.file != &files_[static_cast<std::size_t>(at)]) {
        refuse(CheckpointError::missing_tensor, "tensor {} is not in {}, where the index says it is", printable(tensor),
               printable(shard));
      }
    }
    if (index.weight_map.size() == where_.size()) return;
    for (const auto& [name, place] : where_) {
      const bool listed = std::binary_search(index.weight_map.begin(), index.weight_map.end(), std::pair(name, std::string()),
                                             [](const auto& a, const auto& b) { return a.first < b.first; });
      if (!listed) refuse(CheckpointError::unlisted_tensor, "the index does not name tensor {}", printable(name));
    }
  }

  std::string directory_;
  std::deque<SafetensorsFile> files_;  // a deque: what it holds stays where it is
  std::map<std::string, Place, std::less<>> where_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace espalier::inline v0
