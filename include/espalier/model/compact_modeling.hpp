// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/io/json_write.hpp>
#include <string>
#include <string_view>

namespace espalier::inline v0 {

inline constexpr std::string_view compact_modeling_file = "modeling_espalier.py";

/// The stock model types that layout compact is written for, and what the names of their classes are made of.
struct CompactKind {
  std::string_view model_type, name, head;  ///< <name>Config, <name><head>
};
inline constexpr CompactKind compact_kinds[] = {{"llama", "Llama", "ForCausalLM"},
                                                {"mistral", "Mistral", "ForCausalLM"},
                                                {"qwen2", "Qwen2", "ForCausalLM"},
                                                {"qwen3", "Qwen3", "ForCausalLM"},
                                                {"gpt2", "GPT2", "LMHeadModel"}};

inline const CompactKind& compact_kind(std::string_view model_type) {
  for (const CompactKind& k : compact_kinds)
    if (k.model_type == model_type) return k;
  fail(Errc::unsupported, "layout compact is not written for model type {}: save with layout padded", printable(model_type));
}

namespace detail {

inline constexpr std::string_view compact_llama_text = R"py(# SPDX-License-Identifier: MIT
"""@ whose layers differ in their heads and channels, as `layer_widths` in config.json says. Written by espalier.

    AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=True)

Caches that are laid out before the first token (StaticCache) ask for one number of heads: use the default one.
"""
import copy

from torch import nn
from transformers import @Config, @ForCausalLM


class Espalier@Config(@Config):
    model_type = "espalier_$"

    def layer(self, i):
        """The configuration of one layer."""
        widths, config = self.layer_widths[i], copy.deepcopy(self)
        config.num_attention_heads = widths["heads"]
        config.num_key_value_heads = widths["key_value_heads"]
        config.intermediate_size = widths["feed_forward"]
        return config


class Espalier@ForCausalLM(@ForCausalLM):
    config_class = Espalier@Config

    def __init__(self, config):
        super().__init__(config)
        block = type(self.model.layers[0])
        self.model.layers = nn.ModuleList([block(config.layer(i), i) for i in range(config.num_hidden_layers)])
        for layer in self.model.layers:
            layer.self_attn.config = config  # what is chosen later, such as the attention kernel, is chosen for all
        self.post_init()
)py";

inline constexpr std::string_view compact_gpt2_text = R"py(# SPDX-License-Identifier: MIT
"""GPT-2 whose layers differ in their heads and channels, as `layer_widths` in config.json says. Written by espalier.

    AutoModelForCausalLM.from_pretrained(directory, trust_remote_code=True)
"""
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D


class EspalierGPT2Config(GPT2Config):
    model_type = "espalier_gpt2"


class EspalierGPT2LMHeadModel(GPT2LMHeadModel):
    config_class = EspalierGPT2Config

    def __init__(self, config):
        super().__init__(config)
        for block, widths in zip(self.transformer.h, config.layer_widths, strict=True):
            attention, inner = block.attn, widths["heads"] * block.attn.head_dim
            attention.num_heads, attention.split_size = widths["heads"], inner
            attention.c_attn = Conv1D(3 * inner, config.n_embd)
            attention.c_proj = Conv1D(config.n_embd, inner)
            block.mlp = type(block.mlp)(widths["feed_forward"], config)
        self.post_init()
)py";

}  // namespace detail

/// What transformers runs to build such a model: the stock classes, with every layer made in its own shape.
inline std::string compact_modeling(std::string_view model_type) {
  const CompactKind& kind = compact_kind(model_type);
  std::string out;
  for (const char c : kind.model_type == "gpt2" ? detail::compact_gpt2_text : detail::compact_llama_text) {
    if (c == '@') {
      out += kind.name;
    } else if (c == '$') {
      out += kind.model_type;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace espalier::inline v0
