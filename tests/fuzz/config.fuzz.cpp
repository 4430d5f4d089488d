// SPDX-License-Identifier: MIT
// Any bytes as model.safetensors.index.json and as config.json: refused with an Error, or read within bounds.
#include <cstdint>
#include <cstdlib>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/json.hpp>

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
  try {
    const json::Value config = json::parse(text, "config.json");
    (void)config.text("model_type", "llama");
    (void)config.index("hidden_size", 4096);
    (void)config.number("rope_theta", 10000.0);
    (void)config.flag("tie_word_embeddings", false);
    if (config.given("rope_scaling")) (void)config.at("rope_scaling").number("factor", 1.0);
  } catch (const Error& e) {
    if (e.code() != Errc::bad_input) std::abort();
  }
  return 0;
}
