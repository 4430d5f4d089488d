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

/// What is not adapters beside the weight is computed for models of language, in fp32 on the CPU.
void require_place(const std::string& tuning, Placement where, const std::string& directory) {
  const std::string name = "--tuning " + tuning;
  if (is_encoder(directory)) throw Trouble{Errc::unsupported, name + ": encoders learn by adapters", directory, "leave it away: --tuning adapters"};
  if (where.cuda) throw Trouble{Errc::unsupported, name + " is not computed on a GPU by this tool", directory, "leave --device away; --tuning adapters is computed there"};
  if (where.weights == Storage::bf16)
    throw Trouble{Errc::unsupported, name + " holds weights in fp32, and these would be held in bf16", directory, "give it --weights fp32"};
}

}  // namespace

Dtype stored_dtype(const std::string& directory) {
  if (is_encoder(directory)) return Dtype::f32;
  return with_family(directory, [&](auto family) {
    using Config = typename decltype(family)::Config;
    const TensorFiles files(directory);
    const std::string name = detail::stored_name<Config>(files, std::string(StoredModel<Config>::kEmbedding));
    return files.contains(name) ? files.info(name).dtype : Dtype::f32;
  });
}

Placement placement_for(const Settings& s) {
  const bool small = s.weights == "bf16" || (s.weights != "fp32" && stored_dtype(s.model) == Dtype::bf16);
  return {small ? Storage::bf16 : Storage::fp32, s.device == "cuda",
          s.in_full() ? Learns::full : s.sequential() ? Learns::sequential : Learns::adapters};
}

std::unique_ptr<Engine> open_engine(Placement where, const std::string& directory, const LowRankOptions& options,
                                    std::uint64_t seed, const TaskRequest& task) {
  if (where.learns == Learns::full) {
    require_place("full", where, directory);
    return open_language<CpuFull>(directory, options, seed, task);
  }
  if (where.learns == Learns::sequential) {
    require_place("sequential", where, directory);
    return open_language<CpuSequential>(directory, options, seed, task);
  }
  if (is_encoder(directory)) {
    require_encoder_place(where, directory);
    return open_encoder(directory, options, seed, task);
  }
  if (where.cuda) return open_on_gpu(where.weights, directory, options, seed, task);
  return where.weights == Storage::bf16 ? open_language<CpuBf16>(directory, options, seed, task) : open_language<CpuFp32>(directory, options, seed, task);
}

}  // namespace espalier::tool
