// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/batch.hpp>
#include <espalier/core/text_batch.hpp>
#include <espalier/io/safetensors.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::test {

inline std::string golden_directory(const std::string& name) { return std::string(ESPALIER_TEST_DATA) + "/hf/" + name; }

/// The checkpoints of these classes that transformers and peft wrote: see tests/python/make_golden.py. As the folder has them,
/// so that a new one is in every test that asks for its class.
std::vector<std::string> golden_cases(std::initializer_list<std::string_view> classes);
inline std::vector<std::string> golden_llamas() {
  return golden_cases({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"});
}

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
