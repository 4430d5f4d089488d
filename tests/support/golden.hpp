// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/batch.hpp>
#include <espalier/core/text_batch.hpp>
#include <espalier/io/safetensors.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// Checkpoints that transformers and peft wrote: see tests/python/make_golden.py.
inline const char* const golden_cases[] = {
    "llama-mha",         "llama-gqa",         "llama-gqa-rslora", "llama-mqa",  "llama-bias",    "llama-tied", "llama-head-dim",
    "llama-rope-linear", "llama-rope-llama3", "llama-v4-config",  "llama-bf16", "llama-sharded", "llama-patterns", "mistral", "qwen2",
    "qwen3"};

inline std::string golden_directory(const std::string& name) { return std::string(ESPALIER_TEST_DATA) + "/hf/" + name; }

/// One case: the tokens that went in, and what transformers and peft made of them.
struct Golden {
  explicit Golden(const std::string& name);
  Batch batch() const { return {tokens, targets, shape}; }
  std::vector<double> numbers(const std::string& name) const;

  std::string directory;
  SafetensorsFile file;
  Shape shape;
  std::vector<int> tokens, targets;
};

/// The same of an encoder: labels are classes or numbers, as the task has them.
struct TextGolden {
  explicit TextGolden(const std::string& name);
  TextBatch batch() const;
  std::vector<double> numbers(const std::string& name) const;

  std::string directory;
  SafetensorsFile file;
  Shape shape;
  std::vector<int> tokens, visible, segments, classes;
  std::vector<double> values;
};

/// max |a − b| / max |b|; what is compared with must not be zero.
template <class T, class U>
double relative_gap(const std::vector<T>& a, const std::vector<U>& b) {
  double top = 0, worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    top = std::max(top, std::abs(double(b[i])));
    worst = std::max(worst, i < a.size() ? std::abs(double(a[i]) - double(b[i])) : 1e300);
  }
  return a.size() == b.size() && top > 0 && std::isfinite(worst) ? worst / top : 1e300;
}

}  // namespace espalier::test
