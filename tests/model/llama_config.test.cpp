// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/core/error.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/model/llama_config.hpp>
#include <espalier/model/llama_tensors.hpp>
#include <string>
#include <vector>

#include "golden.hpp"

namespace esp = espalier;
namespace json = esp::json;
using json::Value;

namespace {

Value object(std::string_view text) { return json::parse(text, "test"); }
Value base(const char* type = "llama") {
  auto c = object(R"({"vocab_size": 48, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
                      "num_key_value_heads": 2, "rope_theta": 10000.0, "future_key": {"kept": [1, 2]}})");
  c.set("model_type", type);
  return c;
}
esp::LlamaConfig read(const Value& c) { return esp::read_llama_config(c, "some/config.json"); }

}  // namespace

TEST_CASE("what a configuration leaves out is what transformers would assume") {
  const auto llama = read(object(R"({"model_type": "llama"})"));
  CHECK(llama.vocab == 32000);
  CHECK(llama.hidden == 4096);
  CHECK(llama.feed_forward == 11008);
  CHECK(llama.layers == 32);
  CHECK(llama.groups == 32);
  CHECK(llama.head_dim == 128);
  CHECK(llama.eps == 1e-6);
  CHECK(llama.max_positions == 2048);
  CHECK(llama.attention_dropout == 0);
  CHECK_FALSE(llama.tied);
  CHECK_FALSE(llama.qkv_bias);
  CHECK(esp::count_parameters(llama) == 6'738'415'616);  // LLaMA-7B

  const auto mistral = read(object(R"({"model_type": "mistral"})"));
  CHECK(mistral.feed_forward == 14336);
  CHECK(mistral.groups == 8);
  CHECK(mistral.max_positions == 131072);
  CHECK(mistral.longest == 4096);  // the sliding window that its class has by default

  const auto qwen2 = read(object(R"({"model_type": "qwen2"})"));
  CHECK(qwen2.vocab == 151936);
  CHECK(qwen2.feed_forward == 22016);
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE(qwen2.out_bias);
  CHECK(qwen2.longest == 0);

  const auto qwen3 = read(object(R"({"model_type": "qwen3", "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8})"));
  CHECK(qwen3.head_dim == 128);
  CHECK(qwen3.qk_norm);
  CHECK_FALSE(qwen3.qkv_bias);
  CHECK(read(object(R"({"model_type": "qwen3", "head_dim": null, "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8})")).head_dim == 64);
}

TEST_CASE("both spellings of the rotary embedding mean the same") {
  auto v4 = base(), v5 = base();
  v4.set("rope_theta", 5e5);
  v4.set("rope_scaling", object(R"({"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128})"));
  v5.erase("rope_theta");
  v5.set("rope_parameters", object(R"({"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128})"));
  CHECK(read(v4).rotary.frequencies(8) == read(v5).rotary.frequencies(8));
  CHECK(read(v4).rotary.theta == 5e5);
  auto both = v5;
  both.set("rope_theta", 5e5), both.set("rope_scaling", *v4.find("rope_scaling"));
  CHECK(read(both).rotary.frequencies(8) == read(v4).rotary.frequencies(8));
  auto linear = base();
  linear.set("rope_scaling", object(R"({"rope_type": "linear", "factor": 4.0})"));
  CHECK(read(linear).rotary.frequencies(8)[1] == doctest::Approx(0.1 / 4));
  auto none = base();
  none.set("rope_scaling", Value());
  CHECK(read(none).rotary.scaling == esp::RotaryOptions::Scaling::none);
}

TEST_CASE("a sliding window matters only where a sequence can outgrow it") {
  auto c = base("mistral");
  c.set("max_position_embeddings", 4096);
  CHECK(read(c).longest == 0);  // 4096 by default
  c.set("sliding_window", 1024);
  CHECK(read(c).longest == 1024);
  c.set("sliding_window", Value());
  CHECK(read(c).longest == 0);
  auto q = base("qwen2");
  q.set("sliding_window", 16), q.set("use_sliding_window", false);
  CHECK(read(q).longest == 0);
  q.set("use_sliding_window", true), q.set("max_window_layers", 1);
  CHECK(read(q).longest == 16);
  q.set("max_window_layers", 2);
  CHECK(read(q).longest == 0);
}

TEST_CASE("malformed and unsupported settings are refused by name") {
  struct Case {
    const char* type;
    const char* key;
    const char* value;  // JSON
    esp::Errc code;
    const char* words;
  };
  constexpr auto bad = esp::Errc::bad_input, no = esp::Errc::unsupported;
  const Case cases[] = {
      {"llama", "model_type", "null", bad, "model_type is missing"},
      {"llama", "model_type", "7", bad, "model_type is 7, expected a text"},
      {"llama", "model_type", "\"gpt2\"", no, "model_type is 'gpt2', which is not supported: llama, mistral, qwen2 and qwen3 are"},
      {"llama", "vocab_size", "0", bad, "vocab_size is 0, expected a whole number from 1"},
      {"llama", "vocab_size", "-1", bad, "vocab_size is -1"},
      {"llama", "vocab_size", "4194305", bad, "vocab_size is 4194305"},
      {"llama", "hidden_size", "24.0", bad, "hidden_size is 24.0, expected a whole number"},
      {"llama", "hidden_size", "\"24\"", bad, "hidden_size is '24'"},
      {"llama", "hidden_size", "9223372036854775807", bad, "hidden_size is 9223372036854775807"},
      {"llama", "hidden_size", "18446744073709551615", bad, "hidden_size is 18446744073709551615"},
      {"llama", "hidden_size", "1e30", bad, "hidden_size is 1e+30"},
      {"llama", "hidden_size", "[24]", bad, "hidden_size is [24]"},
      {"llama", "hidden_size", "26", bad, "hidden_size is 26, no multiple of num_attention_heads, which is 4"},
      {"llama", "intermediate_size", "0", bad, "intermediate_size is 0"},
      {"llama", "intermediate_size", "true", bad, "intermediate_size is true"},
      {"llama", "num_hidden_layers", "0", bad, "num_hidden_layers is 0"},
      {"llama", "num_hidden_layers", "65537", bad, "num_hidden_layers is 65537"},
      {"llama", "num_attention_heads", "0", bad, "num_attention_heads is 0"},
      {"llama", "num_attention_heads", "3", bad, "num_attention_heads is 3, which 2 key-value heads"},
      {"llama", "num_key_value_heads", "0", bad, "num_key_value_heads is 0"},
      {"llama", "num_key_value_heads", "3", bad, "which 3 key-value heads"},
      {"llama", "num_key_value_heads", "8", bad, "which 8 key-value heads"},
      {"llama", "head_dim", "0", bad, "head_dim is 0"},
      {"llama", "head_dim", "7", bad, "head_dim is 7, expected an even number"},
      {"llama", "head_dim", "65538", bad, "head_dim is 65538"},
      {"llama", "num_attention_heads", "4194304", bad, "num_attention_heads, which is 4194304"},
      {"llama", "max_position_embeddings", "0", bad, "max_position_embeddings is 0"},
      {"llama", "rms_norm_eps", "0", bad, "rms_norm_eps is 0, expected a number above 0"},
      {"llama", "rms_norm_eps", "\"1e-5\"", bad, "rms_norm_eps is '1e-5'"},
      {"llama", "tie_word_embeddings", "1", bad, "tie_word_embeddings is 1, expected true or false"},
      {"llama", "attention_bias", "\"yes\"", bad, "attention_bias is 'yes'"},
      {"llama", "hidden_act", "\"gelu\"", no, "hidden_act is 'gelu', which is not supported: silu is"},
      {"llama", "hidden_act", "1", bad, "hidden_act is 1"},
      {"llama", "pretraining_tp", "2", no, "pretraining_tp is 2"},
      {"llama", "rope_theta", "0", bad, "rope_theta is 0"},
      {"llama", "rope_theta", "-1", bad, "rope_theta is -1"},
      {"llama", "rope_scaling", "\"linear\"", bad, "rope_scaling: expected an object"},
      {"llama", "rope_scaling", "{\"type\": \"dynamic\", \"factor\": 2.0}", no, "rope_type is 'dynamic', which is not supported"},
      {"llama", "rope_scaling", "{\"type\": \"yarn\", \"factor\": 2.0}", no, "rope_type is 'yarn'"},
      {"llama", "rope_scaling", "{\"rope_type\": \"longrope\"}", no, "rope_type is 'longrope'"},
      {"llama", "rope_scaling", "{\"rope_type\": \"linear\"}", bad, "factor is missing"},
      {"llama", "rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 0}", bad, "factor is 0"},
      {"llama", "rope_scaling", "{\"rope_type\": \"linear\", \"type\": \"yarn\", \"factor\": 2.0}", bad, "but type is 'yarn'"},
      {"llama", "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 4.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8}", bad, "high_freq_factor is 4"},
      {"llama", "rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0}", bad, "original_max_position_embeddings is missing"},
      {"llama", "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 5.0}", bad, "rope_parameters disagrees with rope_theta"},
      {"llama", "rope_parameters", "{\"rope_theta\": 10000.0, \"partial_rotary_factor\": 0.5}", no, "partial_rotary_factor is 0.5"},
      {"llama", "partial_rotary_factor", "0.25", no, "partial_rotary_factor is 0.25"},
      {"llama", "quantization_config", "{\"bits\": 4}", no, "quantization_config is {\"bits\":4}"},
      {"llama", "per_layer_config", "{\"05\": {\"intermediate_size\": 8}}", no, "per_layer_config"},
      {"llama", "pruned_heads", "{\"0\": [1]}", no, "pruned_heads"},
      {"llama", "use_bidirectional_attention", "true", no, "use_bidirectional_attention is true"},
      {"llama", "is_causal", "false", no, "is_causal is false"},
      {"llama", "layer_types", "[\"full_attention\", \"linear_attention\"]", no, "layer_types"},
      {"llama", "layer_types", "\"full_attention\"", bad, "layer_types is 'full_attention', expected a list"},
      {"qwen2", "layer_types", "[\"sliding_attention\"]", no, "layer_types"},
      {"mistral", "attention_bias", "true", no, "attention_bias is true, which mistral does not have"},
      {"mistral", "mlp_bias", "true", no, "mlp_bias is true, which mistral does not have"},
      {"qwen2", "mlp_bias", "true", no, "mlp_bias is true, which qwen2 does not have"},
      {"mistral", "sliding_window", "0", bad, "sliding_window is 0"},
      {"mistral", "sliding_window", "\"4096\"", bad, "sliding_window is '4096'"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.key);
    CAPTURE(c.value);
    auto config = base(c.type);
    config.set(c.key, object(c.value));
    try {
      read(config);
      FAIL_CHECK("not refused");
    } catch (const esp::Error& e) {
      INFO(e.what());
      CHECK(e.code() == c.code);
      CHECK(std::string(e.what()).find(c.words) != std::string::npos);
      CHECK(std::string(e.what()).starts_with("some/config.json"));
    }
  }
  auto dtype = base();
  dtype.set("torch_dtype", "float8_e4m3fn");
  CHECK_THROWS_WITH_AS(esp::read_stored_dtype(dtype), doctest::Contains("dtype is 'float8_e4m3fn'"), esp::Error);
}

TEST_CASE("what is written reads back as the same model, in the older keys, and keeps what it does not understand") {
  for (const std::string& name : esp::test::golden_llamas()) {
    CAPTURE(name);
    const auto from = json::read_file(esp::test::golden_directory(name) + "/config.json");
    const auto config = read(from);
    const auto written = esp::write_llama_config(config, from, esp::Dtype::f32), again = esp::write_llama_config(read(written), written, esp::Dtype::f32);
    CHECK(written == again);
    CHECK(written.text("model_type") == from.text("model_type"));
    CHECK(written.text("torch_dtype") == "float32");
    CHECK_FALSE(written.contains("dtype"));
    CHECK_FALSE(written.contains("rope_parameters"));
    CHECK(written.number("rope_theta") == config.rotary.theta);
    CHECK(read(written).rotary.frequencies(8) == config.rotary.frequencies(8));
    CHECK(esp::count_parameters(read(written)) == esp::count_parameters(config));
    for (const auto& [key, value] : from.members()) {
      if (key != "dtype" && key != "rope_parameters" && key != "rope_scaling" && key != "torch_dtype") CHECK(written.at(key) == value);
    }
  }
  const auto written = esp::write_llama_config(read(base()), base(), esp::Dtype::bf16);
  CHECK(written.at("future_key") == *base().find("future_key"));
  CHECK(written.text("torch_dtype") == "bfloat16");
  CHECK(written.at("architectures").dump() == "[\"LlamaForCausalLM\"]");
}

TEST_CASE("a model without a file gets the model type that has its biases and norms") {
  const esp::LlamaConfig small{.vocab = 48, .hidden = 24, .layers = 1, .heads = 4, .groups = 2, .head_dim = 6, .feed_forward = 8};
  const auto type = [](esp::LlamaConfig c) { return esp::write_llama_config(c, Value(), esp::Dtype::f32).text("model_type"); };
  CHECK(type(small) == "llama");
  auto c = small;
  c.qkv_bias = true;
  CHECK(type(c) == "qwen2");
  c.out_bias = c.feed_forward_bias = true;
  CHECK(type(c) == "llama");
  c = small, c.qk_norm = true;
  CHECK(type(c) == "qwen3");
  c.feed_forward_bias = true;
  CHECK_THROWS_AS(type(c), esp::Error);
  c = small, c.out_bias = true;
  CHECK_THROWS_AS(type(c), esp::Error);
}

TEST_CASE("a llama whose heads do not divide its width is written as the mistral that computes the same") {
  auto c = read(base());
  c.heads = 10, c.groups = 5;
  const auto written = esp::write_llama_config(c, base(), esp::Dtype::f32);
  CHECK(written.text("model_type") == "mistral");
  CHECK(written.at("architectures").dump() == "[\"MistralForCausalLM\"]");
  CHECK(written.contains("sliding_window"));
  CHECK(written.at("sliding_window").is_null());
  CHECK(written.index("head_dim") == 6);
  CHECK(read(written).longest == 0);
  CHECK(written.at("future_key") == *base().find("future_key"));
  c.out_bias = c.qkv_bias = true;
  CHECK_THROWS_WITH_AS(esp::write_llama_config(c, base(), esp::Dtype::f32), doctest::Contains("10 heads do not divide hidden_size 24"), esp::Error);
}
