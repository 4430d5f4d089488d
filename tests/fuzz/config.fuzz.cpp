// SPDX-License-Identifier: MIT
// Any bytes as model.safetensors.index.json, config.json, adapter_config.json, espalier_plan.json and tokenizer.json: refused with an
// Error, or read within bounds. A reader is asked about what names it: that it refuses the rest at once would cost most of the time.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json.hpp>
#include <espalier/model/adapter_config.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/deberta_files.hpp>
#include <espalier/model/families.hpp>
#include <espalier/model/gguf_tokenizer.hpp>
#include <espalier/model/plan_file.hpp>
#include <espalier/model/vit_files.hpp>

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const CheckpointIndex index = parse_checkpoint_index(text);
    for (const std::string& shard : index.shards) {
      if (shard.find('/') != std::string::npos || shard.find('\0') != std::string::npos || shard.size() > 255) std::abort();
      if (!shard.ends_with(".safetensors") || shard[0] == '\0') std::abort();
    }
  } catch (const MalformedCheckpoint&) {
  }
  json::Value object;
  try {
    object = json::parse(text, "text");
  } catch (const Error&) {
    return 0;
  }
  const auto within = [](auto&& read) {
    try {
      read();
    } catch (const Error& e) {
      if (e.code() != Errc::bad_input && e.code() != Errc::unsupported) std::abort();
    }
  };
  within([&] {
    const LlamaConfig c = read_llama_config(object);
    if (c.heads % c.groups != 0 || c.head_dim % 2 != 0 || count_parameters(c) <= 0) std::abort();
    const json::Value written = write_llama_config(c, object, Dtype::f32);
    if (count_parameters(read_llama_config(written)) != count_parameters(c)) std::abort();
  });
  within([&] {
    const LlamaConfig c = read_stored_config<LlamaConfig>(object, "config.json");
    if (count_parameters(c) <= 0 || (!c.widths.empty() && Index(c.widths.size()) != c.layers)) std::abort();
    if (c.widths.empty()) return;
    const json::Value written = compact_config(write_llama_config(c, stock_config(object), Dtype::f32), c.widths);
    if (count_parameters(read_stored_config<LlamaConfig>(written, "again")) != count_parameters(c)) std::abort();
  });
  const auto names = [&](const char* key) { return object.is_object() && object.contains(key); };
  if (names("model")) within([&] {
    GgufMetadata about;
    GgufTokenizer(object, "tokenizer.json", 300).describe(about);
    if (about.size() < 6) std::abort();
  });
  const auto family = [&](auto stored, auto check) {
    if (!names("model_type") || object.at("model_type") != json::Value(stored.kTypes[0])) return;
    within([&] {
      const auto c = stored.read(object, "text");
      const auto again = stored.read(stored.write(c, object, Dtype::f32), "again");
      if (again.hidden != c.hidden || again.feed_forward != c.feed_forward) std::abort();
      check(c, again);
    });
  };
  const auto encoder = [&](auto stored) {
    family(stored, [](const auto& c, const auto& again) {
      if (c.heads * c.head_dim != c.hidden || c.labels.count < 1 || again.labels.count != c.labels.count) std::abort();
    });
  };
  family(StoredModel<Gpt2Config>{}, [](const auto&, const auto&) {});
  encoder(StoredModel<BertTaskConfig<Bert, SequenceClassification>>{});
  encoder(StoredModel<BertTaskConfig<Roberta, MaskedLanguage>>{});
  encoder(StoredModel<DebertaTaskConfig<SequenceClassification>>{});
  encoder(StoredModel<DebertaTaskConfig<MaskedLanguage>>{});
  encoder(StoredModel<VitConfig>{});
  within([&] { (void)read_stored_dtype(object); });
  if (names("peft_type")) within([&] {
    const AdapterConfig c = AdapterConfig::read(object);
    if (c.options.rank < 1 || !(c.options.scale() > 0)) std::abort();
    (void)c.matches("model.layers.1.self_attn.q_proj");
  });
  if (names("groups")) within([&] {
    const PlanFile plan = PlanFile::parse(object, "plan");
    if (PlanFile::parse(json::parse(plan.text()), "again").text() != plan.text()) std::abort();
  });
  return 0;
}
