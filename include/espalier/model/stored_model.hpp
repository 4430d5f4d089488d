// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>
#include <espalier/model/cut.hpp>
#include <string_view>

namespace espalier::inline v0 {

/// How layers of different width are written.
enum class Layout {
  automatic,  ///< uniform if the layers and the model type allow it, else padded
  uniform,    ///< one number of heads and one feed-forward width for all layers: refused when they differ
  padded,     ///< zeros up to the widest layer: exactly the same function
  compact,    ///< every layer in its own shape, with the few lines of Python that transformers needs to load it
};
constexpr std::string_view name_of(Layout l) {
  constexpr std::string_view names[] = {"automatic", "uniform", "padded", "compact"};
  return names[int(l)];
}

/// What files know of a family of models, specialised beside its configuration:
///
///   kTypes                              the model_types of config.json that are its own
///   kEmbedding, kHead                   the tensors that a tied head shares
///   kPrefix                             what names lack in files that were saved without their head; empty: always there
///   Config read(object, source)         from config.json
///   json::Value write(config, object, dtype)    to config.json, starting from the object it was read from
///   tensors(config, f)                  f(name, shape in the file) for every tensor, before any memory is taken
///   bool leftover(name)                 tensors that old files carry and nobody reads
///   names head()                        optional: the linear maps of a head, first the one onto labels: see fresh_maps()
///   void lacking(config, maps)          optional: what a configuration makes of maps that start at random
///   std::string missing(name, files)    optional: what may be meant where a tensor is missing, for a hint
///   std::string older(name)             optional: how old files spell a name
///   std::string adapter_path(path)      optional: what PEFT calls a map of that name
///   bool sayable(config, cut)           whether a configuration can say these widths, if they are the same in all layers
///   void narrow(config, cut, layout)    the configuration of what is written; may widen the cut, refuses what no
///                                       configuration can say
template <class Config>
struct StoredModel;

}  // namespace espalier::inline v0
