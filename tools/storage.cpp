// SPDX-License-Identifier: MIT
#include <espalier/io/checkpoint_files.hpp>

#include "engine.hpp"

namespace espalier::tool {

Dtype stored_dtype(const std::string& directory) {
  const TensorFiles files(directory);
  const char* const embedding = "model.embed_tokens.weight";
  return files.contains(embedding) ? files.info(embedding).dtype : Dtype::f32;
}

Placement placement_for(const std::string& directory, const std::string& weights, const std::string& device) {
  const bool small = weights == "bf16" || (weights != "fp32" && stored_dtype(directory) == Dtype::bf16);
  return {small ? Storage::bf16 : Storage::fp32, device == "cuda"};
}

}  // namespace espalier::tool
