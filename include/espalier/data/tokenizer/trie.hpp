// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0::text {

/// Byte strings with a number each, found along a text. A node's edges lie side by side in the order of their bytes.
/// Of equal strings the later one counts.
class Trie {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  Trie() : Trie(std::vector<std::pair<std::string_view, int>>()) {}
  explicit Trie(std::vector<std::pair<std::string_view, int>> all) {
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    struct Span {
      std::size_t first, last, depth;
    };
    std::vector<Span> spans{{0, all.size(), 0}};  // the strings that go through a node, by node
    nodes_.push_back({});
    for (std::size_t n = 0; n < spans.size(); ++n) {
      auto [first, last, depth] = spans[n];
      nodes_[n].edges = std::uint32_t(labels_.size());
      while (first < last && all[first].first.size() == depth) nodes_[n].value = all[first++].second;
      while (first < last) {
        const char label = all[first].first[depth];
        std::size_t end = first;
        while (end < last && all[end].first[depth] == label) ++end;
        labels_.push_back(static_cast<unsigned char>(label));
        targets_.push_back(std::uint32_t(spans.size()));
        spans.push_back({first, end, depth + 1});
        nodes_.push_back({});
        first = end;
      }
      nodes_[n].count = std::uint16_t(labels_.size() - nodes_[n].edges);
    }
    roots_.fill(none);
    for (std::uint32_t i = 0; i < nodes_[0].count; ++i) roots_[labels_[i]] = targets_[i];
  }

  bool empty() const { return nodes_[0].count == 0; }
  static constexpr std::uint32_t root() { return 0; }
  /// The node behind this byte, or none.
  std::uint32_t step(std::uint32_t node, char label) const {
    const auto byte = static_cast<unsigned char>(label);
    if (node == 0) return roots_[byte];
    const Node& from = nodes_[node];
    const auto begin = labels_.begin() + from.edges, end = begin + from.count;
    const auto found = std::lower_bound(begin, end, byte);
    return found == end || *found != byte ? none : targets_[std::size_t(found - labels_.begin())];
  }
  std::uint32_t walk(std::uint32_t node, std::string_view text) const {
    for (std::size_t i = 0; i < text.size() && node != none; ++i) node = step(node, text[i]);
    return node;
  }
  /// The number of the string that ends at this node, or -1.
  int value(std::uint32_t node) const { return nodes_[node].value; }
  int find(std::string_view text) const {
    const std::uint32_t node = walk(root(), text);
    return node == none ? -1 : value(node);
  }

 private:
  struct Node {
    std::uint32_t edges = 0;
    std::uint16_t count = 0;  // at most 256
    int value = -1;
  };
  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;
  std::vector<std::uint32_t> targets_;
  std::array<std::uint32_t, 256> roots_;
};

}  // namespace espalier::inline v0::text
