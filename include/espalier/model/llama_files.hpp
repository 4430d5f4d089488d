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

  static bool sayable(const LlamaConfig&, const CutPlan&) { return true; }
  static void narrow(LlamaConfig& c, CutPlan& cut, Layout layout) {
    auto [heads, groups] = cut.heads(c);
    c.feed_forward = cut.width("channels");
    // transformers wants the heads of a llama to divide hidden_size; where biases rule out writing it as a mistral, pad on.
    if (layout == Layout::padded && (c.out_bias || c.feed_forward_bias) && !c.qk_norm) {
      const std::string kind = cut.has("queries") ? "queries" : "heads";
      while (cut.width(kind) < cut.full(kind) && c.hidden % heads != 0) {
        cut.widen(kind, cut.width(kind) + 1);
        std::tie(heads, groups) = cut.heads(c);
      }
    }
    c.heads = heads, c.groups = groups;
  }
};

}  // namespace espalier::inline v0
