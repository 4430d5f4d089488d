// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/llama_config.hpp>
#include <espalier/model/llama_tensors.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <tuple>

namespace espalier::inline v0 {

template <>
struct StoredModel<LlamaConfig> {
  static constexpr std::string_view kTypes[4] = {"llama", "mistral", "qwen2", "qwen3"};
  static constexpr std::string_view kEmbedding = "model.embed_tokens.weight", kHead = "lm_head.weight", kPrefix = "";

  static LlamaConfig read(const json::Value& object, const std::string& source) {
    return read_llama_config(object, source);
  }
  static json::Value write(const LlamaConfig& c, json::Value object, Dtype dtype) {
    return write_llama_config(c, std::move(object), dtype);
  }
  template <class F>
  static void tensors(const LlamaConfig& c, F&& f) {
    for_each_llama_tensor(c, f);
  }
  static bool leftover(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

  static bool sayable(const LlamaConfig& c, const CutPlan& cut) {
    return !heads_divide(c) || c.hidden % cut.heads(c).first == 0;
  }
  static void narrow(LlamaConfig& c, CutPlan& cut, Layout layout) {
    auto [heads, groups] = cut.heads(c);
    c.feed_forward = cut.width("channels");
    if (layout == Layout::uniform && !sayable(c, cut)) {
      fail(Errc::usage, "layout uniform: {} heads do not divide hidden_size {}, and transformers loads that only without biases\n  hint: "
           "layout padded writes the same function with more heads, of zeros; or let another number of heads leave", heads, c.hidden);
    }
    if (layout == Layout::padded && heads_divide(c)) {
      const std::string kind = cut.has("queries") ? "queries" : "heads";
      while (cut.width(kind) < cut.full(kind) && c.hidden % heads != 0) {
        cut.widen(kind, cut.width(kind) + 1);
        std::tie(heads, groups) = cut.heads(c);
      }
    }
    c.heads = heads, c.groups = groups;
  }

 private:
  /// transformers wants the heads of a llama to divide hidden_size, and biases rule out writing it as a mistral.
  static bool heads_divide(const LlamaConfig& c) { return (c.out_bias || c.feed_forward_bias) && !c.qk_norm; }
};

}  // namespace espalier::inline v0
