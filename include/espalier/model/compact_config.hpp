// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <espalier/model/compact_modeling.hpp>
#include <espalier/model/config_reader.hpp>
#include <espalier/model/layer_widths.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// config.json of layout compact is that of the stock model type with three changes:
///
///     "model_type": "espalier_llama",                     a class of its own, so that no other reader takes it for a stock one
///     "auto_map": {"AutoConfig": "modeling_espalier.…", …}
///     "layer_widths": [{"heads": 4, "key_value_heads": 2, "feed_forward": 30}, …]          one for each layer
inline constexpr std::string_view compact_prefix = "espalier_";

inline bool is_compact(const json::Value& object) {
  const json::Value* const type = object.is_object() ? object.find("model_type") : nullptr;
  return type != nullptr && type->is_string() && type->as_string().starts_with(compact_prefix);
}

/// Without the three changes; any other object as it is.
inline json::Value stock_config(json::Value object) {
  if (!is_compact(object)) return object;
  const std::string type = object.text("model_type").substr(compact_prefix.size());
  object.set("model_type", type);
  for (const CompactKind& k : compact_kinds) {
    if (k.model_type != type) continue;
    const std::string model = std::string(k.name) + std::string(k.head);
    object.set("architectures", json::Value(json::Value::Array{json::Value(model)}));
  }
  object.erase("auto_map"), object.erase("layer_widths");
  return object;
}

inline json::Value compact_config(json::Value object, const std::vector<LayerWidths>& widths) {
  const CompactKind& kind = compact_kind(object.text("model_type"));
  const std::string name = "Espalier" + std::string(kind.name), model = name + std::string(kind.head);
  object.set("model_type", std::string(compact_prefix) + std::string(kind.model_type));
  object.set("architectures", json::Value(json::Value::Array{json::Value(model)}));
  object.set("auto_map", json::Value::object({{"AutoConfig", "modeling_espalier." + name + "Config"},
                                              {"AutoModelForCausalLM", "modeling_espalier." + model}}));
  json::Value all = json::Value::array();
  for (const LayerWidths& w : widths)
    all.push_back(json::Value::object({{"heads", w.heads}, {"key_value_heads", w.groups}, {"feed_forward", w.feed_forward}}));
  object.set("layer_widths", std::move(all));
  return object;
}

/// layer_widths, checked against what the configuration says of all layers.
inline std::vector<LayerWidths> read_layer_widths(const ConfigReader& config, Index layers, bool grouped, Index head_dim) {
  constexpr Index most = Index{1} << 22;
  const json::Value* const list = config.find("layer_widths");
  if (list == nullptr || !list->is_array()) config.wrong("layer_widths is not there, or not a list: {} needs it", config.text("model_type"));
  if (list->size() != layers) config.wrong("layer_widths has {} entries for {} layers", list->size(), layers);
  std::vector<LayerWidths> widths;
  for (const json::Value& entry : list->elements()) {
    const ConfigReader in(entry, format("{}, layer_widths[{}]", config.source(), widths.size()));
    const LayerWidths w{in.integer("heads", 1, most), in.integer("key_value_heads", 1, most), in.integer("feed_forward", 1, most)};
    if (grouped ? w.heads % w.groups != 0 : w.heads != w.groups)
      in.wrong("{} heads cannot share {} key-value heads{}", w.heads, w.groups, grouped ? " evenly" : ": each has its own");
    if (w.heads > most / head_dim) in.wrong("heads x head_dim is {}, expected at most {}", w.heads * head_dim, most);
    widths.push_back(w);
  }
  return widths;
}

/// config.json of any layout.
template <class Config>
Config read_stored_config(const json::Value& object, const std::string& path) {
  if (!is_compact(object)) {
    if (object.is_object() && object.given("layer_widths")) {
      fail(Errc::bad_input, "{}: layer_widths is given, but model_type is none that reads it; it should start with {}", path, compact_prefix);
    }
    return StoredModel<Config>::read(object, path);
  }
  Config c = StoredModel<Config>::read(stock_config(object), path);
  if constexpr (requires { c.widths; }) {
    c.widths = read_layer_widths(ConfigReader(object, path), c.layers, c.heads > c.groups, c.head_dim);
    return c;
  } else {
    fail(Errc::unsupported, "{}: model_type is {}, and layers of different width are not read for this family", path,
         printable(object.text("model_type")));
  }
}

}  // namespace espalier::inline v0
