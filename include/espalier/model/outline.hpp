// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/cut.hpp>
#include <espalier/model/narrow.hpp>
#include <espalier/model/stored_model.hpp>
#include <string>
#include <utility>

namespace espalier::inline v0 {

/// A model directory before a number is written: known from shapes and masks alone, so that who trains first can ask first.
template <class Config>
struct Outline {
  Layout layout = Layout::uniform;
  Config config;           ///< of what is written
  std::string model_type;  ///< of the stock class that computes it
  json::Value object;      ///< config.json
};

/// Of the model with this configuration and this cut, which may become wider. `stock`: config.json of its source, as of a
/// stock class; `stated`: the number format that the new one names. Refuses what no directory of the layout can say.
template <class Config>
Outline<Config> outline_of(const Config& config, CutPlan& cut, Layout asked, const json::Value& stock, Dtype stated,
                           const std::string& directory) {
  using Stored = StoredModel<Config>;
  Outline<Config> out;
  out.layout = asked, out.config = config;
  if (asked == Layout::automatic) {
    Config shrunk = config;
    detail::shrink(shrunk, cut);
    out.layout = cut.uniform() && Stored::sayable(shrunk, cut) ? Layout::uniform : Layout::padded;
  }
  if (out.layout == Layout::uniform && !cut.uniform()) {
    fail(Errc::usage, "{}: layout uniform needs layers of one shape, but {}\n  hint: layout padded writes the same function "
         "with zeros; or prune with the constraint 'uniform'", directory, cut.differences());
  }
  detail::narrow(out.config, cut, out.layout, directory);
  out.object = Stored::write(out.config, stock, stated);
  detail::cut_layer_lists(out.object, cut.sources());
  out.model_type = out.object.text("model_type");
  if constexpr (requires { config.widths; })
    if (out.layout == Layout::compact) out.object = compact_config(std::move(out.object), out.config.widths);
  return out;
}

}  // namespace espalier::inline v0
