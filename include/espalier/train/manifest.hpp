// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>
#include <espalier/train/trainer_options.hpp>

namespace espalier::inline v0 {

namespace detail {

/// The numbers that shape every bit of a run; a resumed run must have the same.
inline json::Value settings_of(const TrainerOptions& o, const AdamWOptions& a, json::Value batches) {
  const auto object = [](std::initializer_list<json::Member> m) { return json::Value::object(m); };
  auto rate =
      object({{"peak", o.rate.peak}, {"warmup", o.rate.warmup}, {"shape", int(o.rate.shape)}, {"floor", o.rate.floor}});
  if (o.rate.shape != RateShape::constant) rate.set("steps", o.rate.steps);
  auto settings = object({{"rate", rate},
                 {"adamw", object({{"beta1", a.beta1}, {"beta2", a.beta2}, {"eps", a.eps}, {"decay", a.decay}})},
                 {"batches", std::move(batches)},
                 {"max_norm", o.max_norm},
                 {"identity", o.identity}});
  if (o.compact == Compaction::live) settings.set("compact", "live");
  return settings;
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

/// What a checkpoint says about the moment it was written at.
struct RunFacts {
  Index step, windows;  ///< optimizer steps, and windows or examples of the data, that are behind it
  std::uint64_t seed, skipped;
  double sparsity, rate;
  std::string base, data;  ///< SHA-256 of the frozen numbers and of the training data
  json::Value settings;
};

inline json::Value manifest_of(const RunFacts& f) {
  const auto object = [](std::initializer_list<json::Member> m) { return json::Value::object(m); };
  return object({{"format", "espalier-checkpoint"},
                 {"version", 1},
                 {"step", f.step},
                 {"seed", f.seed},
                 {"skipped", f.skipped},
                 {"sparsity", f.sparsity},
                 {"schedule", object({{"step", f.step}, {"rate", f.rate}})},
                 // Random numbers are functions of (seed, purpose, stream, step): the step is the counter of all.
                 {"random", object({{"generator", "philox4x32-10"}, {"step", f.step}})},
                 {"data", object({{"windows", f.windows}, {"sha256", f.data}})},
                 {"base", f.base},
                 {"settings", f.settings},
                 {"versions", detail::versions()}});
}

/// A run goes on only from where it could have been itself: the same base, data and settings.
inline void refuse_other_run(const std::string& path, const json::Value& manifest, const RunFacts& f) {
  const auto refuse = [&](std::string_view what) {
    fail(Errc::usage, "{} was written by a run with another {}: resume with the same, or name a new folder", path, what);
  };
  if (manifest.index("version") != 1)
    fail(Errc::unsupported, "{}: a checkpoint of version {}", path, manifest.index("version"));
  if (manifest.text("base") != f.base) refuse("base model");
  if (manifest.at("data").text("sha256") != f.data) refuse("training data");
  const json::Value& settings = manifest.at("settings");
  std::string other = detail::difference(f.settings, settings);
  if (other.empty()) other = detail::difference(settings, f.settings);
  if (!other.empty()) refuse("value of " + other);
}

}  // namespace espalier::inline v0
