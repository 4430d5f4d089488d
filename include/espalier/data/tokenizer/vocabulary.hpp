// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0::text {

/// Tokens by id and by text. Looked up in sorted order: no file can make that slow.
class Vocabulary {
 public:
  Vocabulary() = default;
  explicit Vocabulary(std::vector<std::pair<std::string, int>> entries) : count_(Index(entries.size())) {
    int last = -1;
    for (const auto& entry : entries) last = std::max(last, entry.second);
    // Memory goes by the largest id, so that has to be in proportion.
    if (last >= 4 * count_ + 65536) {
      fail(Errc::bad_input, "vocab: id {} among {} tokens, expected ids without such gaps", last, count_);
    }
    tokens_.resize(std::size_t(last + 1));
    present_.resize(tokens_.size());
    order_.reserve(entries.size());
    for (auto& entry : entries) {
      std::string& token = entry.first;
      const int id = entry.second;
      if (present_[std::size_t(id)]) {
        fail(Errc::bad_input, "vocab: {} and {} have the same id {}", printable(tokens_[std::size_t(id)]), printable(token), id);
      }
      present_[std::size_t(id)] = true;
      tokens_[std::size_t(id)] = std::move(token);
      order_.push_back(id);
    }
    std::sort(order_.begin(), order_.end(), [&](int a, int b) { return tokens_[std::size_t(a)] < tokens_[std::size_t(b)]; });
  }

  /// {"token": id, …}
  static Vocabulary read(const json::Value& object) {
    std::vector<std::pair<std::string, int>> entries;
    entries.reserve(std::size_t(object.size()));
    for (const json::Member& member : object.members("vocab")) entries.emplace_back(member.key, read_id(member.value, "vocab"));
    return Vocabulary(std::move(entries));
  }
  static int read_id(const json::Value& value, std::string_view name) {
    const Index id = value.as_index(name);
    if (!std::in_range<int>(id) || id < 0) fail(Errc::bad_input, "{}: {} is no token id", name, id);
    return int(id);
  }

  Index size() const { return count_; }  ///< tokens, not the largest id
  Index end() const { return Index(tokens_.size()); }  ///< one more than the largest id
  bool has(Index id) const { return id >= 0 && id < end() && present_[std::size_t(id)]; }
  const std::string& operator[](Index id) const { return tokens_[std::size_t(id)]; }
  /// The id, or -1.
  int find(std::string_view token) const {
    const auto at = std::lower_bound(order_.begin(), order_.end(), token,
                                     [&](int id, std::string_view t) { return tokens_[std::size_t(id)] < t; });
    return at == order_.end() || tokens_[std::size_t(*at)] != token ? -1 : *at;
  }

 private:
  Index count_ = 0;
  std::vector<std::string> tokens_;
  std::vector<bool> present_;
  std::vector<int> order_;  // ids by their text
};

}  // namespace espalier::inline v0::text
