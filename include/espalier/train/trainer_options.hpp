// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <espalier/train/adamw.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/learning_rate.hpp>
#include <optional>
#include <string>

namespace espalier::inline v0 {

/// What happens when the norm of the gradients is not finite.
enum class NonFinite {
  skip,  ///< the step changes nothing and is counted
  stop,  ///< Errc::numerical; the weights are as they were before the step
};

struct TrainerOptions {
  LearningRate rate = {};
  double max_norm = 1;  ///< of the gradients; 0: no clipping
  NonFinite non_finite = NonFinite::skip;

  std::optional<TokenFile> validation = {};
  EvaluateOptions evaluate = {};
  Index evaluate_every = 0;  ///< steps; 0: never

  std::string checkpoints = {};  ///< folder; empty: none are written
  Index checkpoint_every = 0;    ///< steps; 0: at the end and when stopped
  Index keep = 2;                ///< checkpoints, at least 2

  /// Whatever else must be equal when a run is resumed (the configuration, the pruner's settings), as text.
  std::string identity = {};
};

/// Steps that were taken, and whether somebody asked to stop.
struct TrainingSummary {
  Index step = 0;
  Index skipped = 0;
  double sparsity = 0;
  bool stopped = false;
};

/// Where a run was taken up again, and what has to be said about it (damaged checkpoints, other versions).
struct Resumed {
  Index step = 0;
  std::string path;
  std::vector<std::string> notes;
};

/// No pruning.
struct NoPruner {
  double step() { return 0; }
  template <class F>
  void visit_state(F&&) {}
};

namespace detail {

/// The numbers that shape every bit of a run; a resumed run must have the same.
inline json::Value settings_of(const TrainerOptions& o, const AdamWOptions& a, const BatchOptions& b) {
  const auto object = [](std::initializer_list<json::Member> m) { return json::Value::object(m); };
  auto rate = object({{"peak", o.rate.peak}, {"warmup", o.rate.warmup}, {"shape", int(o.rate.shape)}, {"floor", o.rate.floor}});
  if (o.rate.shape != RateShape::constant) rate.set("steps", o.rate.steps);
  return object({{"rate", rate},
                 {"adamw", object({{"beta1", a.beta1}, {"beta2", a.beta2}, {"eps", a.eps}, {"decay", a.decay}})},
                 {"batches", object({{"size", b.size}, {"length", b.length}, {"accumulate", b.accumulate},
                                     {"seed", b.seed}, {"shuffle", b.shuffle}})},
                 {"max_norm", o.max_norm},
                 {"identity", o.identity}});
}

/// Name of the first member in which two objects differ; empty: none.
inline std::string difference(const json::Value& a, const json::Value& b) {
  for (const json::Member& m : a.members()) {
    const json::Value* other = b.find(m.key);
    if (other == nullptr) return m.key;
    if (*other == m.value) continue;
    if (!m.value.is_object() || !other->is_object()) return m.key;
    const std::string inner = difference(m.value, *other);
    return inner.empty() ? m.key : m.key + "." + inner;
  }
  return "";
}

/// The instructions this was compiled for: other ones may round differently.
constexpr const char* instruction_set() {
#if defined(__AVX512F__)
  return "avx512";
#elif defined(__AVX2__) && defined(__FMA__)
  return "avx2+fma";
#elif defined(__AVX2__)
  return "avx2";
#elif defined(__x86_64__)
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

inline json::Value versions() {
  return json::Value::object(
      {{"espalier", ESPALIER_VERSION_STRING}, {"compiler", __VERSION__}, {"instructions", instruction_set()}});
}

}  // namespace detail

}  // namespace espalier::inline v0
