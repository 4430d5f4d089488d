// SPDX-License-Identifier: MIT
#include "open_engine.hpp"

#include <espalier/model/encoder_families.hpp>
#include <espalier/model/families.hpp>
#include <espalier/model/load.hpp>

#include "trouble.hpp"

namespace espalier::tool {
namespace {

/// Encoders compute in fp32 on the CPU.
void require_encoder_place(Placement where, const std::string& directory) {
  if (where.cuda) throw Trouble{Errc::unsupported, "encoders are not computed on a GPU by this tool", directory, "the library does: see docs/encoders.md"};
  if (where.weights == Storage::bf16) throw Trouble{Errc::unsupported, "--weights bf16: encoders are held in fp32", directory, "leave it away"};
}

}  // namespace

bool holds_encoder(const std::string& directory) { return is_encoder(directory); }

Dtype stored_dtype(const std::string& directory) {
  if (is_encoder(directory)) return Dtype::f32;
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
                                    std::uint64_t seed, const TaskRequest& task) {
  if (is_encoder(directory)) {
    require_encoder_place(where, directory);
    return open_encoder(directory, options, seed, task);
  }
  if (where.cuda) return open_on_gpu(where.weights, directory, options, seed, task);
  return where.weights == Storage::bf16 ? open_language<CpuBf16>(directory, options, seed, task) : open_language<CpuFp32>(directory, options, seed, task);
}

}  // namespace espalier::tool
