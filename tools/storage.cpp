// SPDX-License-Identifier: MIT
#include <espalier/io/checkpoint_files.hpp>

#include "engine.hpp"

namespace espalier::tool {

Dtype stored_dtype(const std::string& directory) {
  const TensorFiles files(directory);
  const char* const embedding = "model.embed_tokens.weight";
  return files.contains(embedding) ? files.info(embedding).dtype : Dtype::f32;
}

Storage storage_for(const std::string& directory, const std::string& weights) {
  if (weights == "bf16") return Storage::bf16;
  if (weights == "fp32") return Storage::fp32;
  return stored_dtype(directory) == Dtype::bf16 ? Storage::bf16 : Storage::fp32;
}

}  // namespace espalier::tool
