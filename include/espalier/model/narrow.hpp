// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>
#include <espalier/model/cut.hpp>
#include <espalier/model/layer_widths.hpp>
#include <espalier/model/stored_model.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

// What a configuration says of a model of which something has left.
namespace espalier::inline v0::detail {

/// Layers, and channels of the residual stream, that have left or are masked.
template <class Config>
void shrink(Config& config, const CutPlan& cut) {
  if (cut.has("layers")) config.layers = cut.width("layers");
  if (cut.has("hidden")) {
    if constexpr (requires { config.qk_norm; }) config.eps *= double(cut.full("hidden")) / double(cut.width("hidden"));  // see RmsNorm
    config.hidden = cut.width("hidden");
  }
}

/// Lists of config.json that have an entry for every layer.
inline void cut_layer_lists(json::Value& object, const std::vector<Index>& layers) {
  for (const char* key : {"layer_types", "no_rope_layers"}) {
    const json::Value* const list = object.find(key);
    if (layers.empty() || list == nullptr || !list->is_array() || list->size() <= layers.back()) continue;
    json::Value left = json::Value::array();
    for (const Index l : layers) left.push_back(list->at(l));
    object.set(key, std::move(left));
  }
}

/// One eps for all norms is what a configuration knows. Those on q and k keep theirs by what they are given:
/// norm(c q; c² eps) = norm(q; eps).
template <class Model, class Config>
void scale_normed(Model& model, const Config& config, std::map<const void*, TensorCut>& cuts) {
  if constexpr (requires { config.qk_norm; }) {
    if (!config.qk_norm) return;
    for (auto& block : model.blocks()) {
      auto& attention = block.self_attn;
      const double more = std::sqrt(config.eps / attention.q_norm.eps);
      if (attention.q_norm.eps > 0 && more != 1) cuts[&attention.q_proj].scale = cuts[&attention.k_proj].scale = more;
    }
  }
}

/// Refuses adapters beside weights that norms on q and k ask to be scaled: see scale_normed.
template <class Model>
void require_written_apart(const Model& model, const CutPlan& cut, const std::string& directory) {
  if constexpr (requires { model.config.qk_norm; }) {
    if (model.config.qk_norm && cut.has("hidden") && cut.width("hidden") < cut.full("hidden"))
      fail(Errc::unsupported, "{}: norms on q and k keep their eps by what q_proj and k_proj give them, adapters included: save with merge",
           directory);
  }
}

/// The configuration of what is written in this layout.
template <class Config>
void narrow(Config& config, CutPlan& cut, Layout layout, const std::string& directory) {
  shrink(config, cut);
  if constexpr (requires { config.scaled_by_layer; }) {
    const auto sources = cut.sources();
    for (std::size_t l = 0; l < sources.size(); ++l)
      if (config.scaled_by_layer && sources[l] != Index(l)) {
        fail(Errc::unsupported, "{}: scores of layer {} are divided by {} (scale_attn_by_inverse_layer_idx), and as layer {} would be "
             "divided by {}: the model cannot be written without the layers before it", directory, sources[l], sources[l] + 1, l, l + 1);
      }
  }
  if constexpr (requires { config.widths; }) {
    if (layout == Layout::compact) {
      if (cut.has("queries") && !cut.uneven("queries").empty()) {
        fail(Errc::usage, "{}: layout compact has one number of query heads for all key-value heads of a layer, but {}\n  hint: layout "
             "padded writes the same function with zeros; or let key-value heads stay even while pruning", directory, cut.differences());
      }
      std::vector<LayerWidths> widths;
      for (const Index l : cut.written(config.layers)) {
        const LayerWidths was = config.layer(l);
        const auto of = [&](const char* kind) { return cut.layers(kind)[widths.size()]; };
        widths.push_back(cut.has("queries") ? LayerWidths{of("queries"), was.groups, of("channels")}
                                            : LayerWidths{of("heads") * (was.heads / was.groups), of("heads"), of("channels")});
      }
      config.widths = std::move(widths);
      return cut.keep_apart();
    }
  }
  if (layout == Layout::compact) {
    fail(Errc::unsupported, "{}: layout compact is not there for models of this family: save with layout padded", directory);
  }
  StoredModel<Config>::narrow(config, cut, layout);
  if constexpr (requires { config.widths; }) config.widths.clear();
}

}  // namespace espalier::inline v0::detail
