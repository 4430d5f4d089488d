// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/image_examples.hpp>
#include <espalier/data/masked_examples.hpp>
#include <espalier/data/tokens.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace espalier::tool {

/// What is learnt from, or measured on: as the model at hand reads a file.
class DataSet {
 public:
  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, DataSet>)
  DataSet(T data) : data_(std::move(data)) {}

  template <class T>
  const T& as() const {
    const T* const data = std::get_if<T>(&data_);
    require(data != nullptr, "{}: this is no data for the model at hand", source());
    return *data;
  }
  const std::string& source() const {
    return std::visit([](const auto& d) -> const std::string& { return d.source(); }, data_);
  }
  /// Tokens of a text; else examples.
  Index size() const {
    return std::visit([](const auto& d) { return d.size(); }, data_);
  }
  const char* unit() const { return std::holds_alternative<TokenFile>(data_) ? "tokens" : "examples"; }
  /// Examples that were longer than a model reads.
  Index truncated() const {
    const auto* const texts = std::get_if<TextExamples>(&data_);
    return texts == nullptr ? 0 : texts->set().truncated;
  }
  std::string hash() const {
    return std::visit([](const auto& d) { return hash_of(d); }, data_);
  }
  std::pair<DataSet, DataSet> split(double share) const {
    return std::visit([&](const auto& d) {
      auto [first, last] = d.split(share);
      return std::pair<DataSet, DataSet>(first, last);
    }, data_);
  }

 private:
  static std::string hash_of(const TokenFile& file) { return file.tokens().hash(); }
  template <class Set>
  static std::string hash_of(const Examples<Set>& examples) { return examples.hash(); }

  std::variant<TokenFile, TextExamples, MaskedExamples, ImageExamples> data_;
};

}  // namespace espalier::tool
