// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/io/json_file.hpp>
#include <espalier/model/source.hpp>
#include <string>

namespace espalier::inline v0 {

/// What config.json of a model directory says, before anybody knows which family it belongs to.
inline ModelSource read_source(const std::string& directory) {
  if (!io::is_directory(directory)) fail(Errc::bad_input, "{}: there is no such directory", directory);
  if (!io::exists(io::join(directory, "config.json"))) {
    fail(Errc::bad_input, "{}: there is no config.json\n  hint: {}", directory,
         io::exists(io::join(directory, "adapter_config.json"))
             ? "this is an adapter: load its base model and then the adapter"
             : "a model directory holds config.json and model.safetensors, as save_pretrained writes them");
  }
  ModelSource source;
  source.directory = directory;
  source.config = json::read_file(io::resolve_inside(directory, "config.json"), std::uint64_t{16} << 20);
  return source;
}

}  // namespace espalier::inline v0
