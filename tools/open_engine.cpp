// SPDX-License-Identifier: MIT
#include "open_engine.hpp"

#include <espalier/model/load.hpp>

namespace espalier::tool {

Dtype stored_dtype(const std::string& directory) {
  return with_family(directory, [&](auto family) {
    using Config = typename decltype(family)::Config;
    const TensorFiles files(directory);
    const std::string name = detail::stored_name<Config>(files, std::string(StoredModel<Config>::kEmbedding));
    return files.contains(name) ? files.info(name).dtype : Dtype::f32;
  });
}

Placement placement_for(const std::string& directory, const std::string& weights, const std::string& device) {
  const bool small = weights == "bf16" || (weights != "fp32" && stored_dtype(directory) == Dtype::bf16);
  return {small ? Storage::bf16 : Storage::fp32, device == "cuda"};
}

std::unique_ptr<Engine> open_engine(Placement where, const std::string& directory, const LowRankOptions& options,
                                    std::uint64_t seed) {
  return where.cuda ? open_on_gpu(where.weights, directory, options, seed)
                    : open_as<CpuFp32, CpuBf16>(where.weights, directory, options, seed);
}

}  // namespace espalier::tool
