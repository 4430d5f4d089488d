// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <vector>

#include "settings.hpp"
#include "toml.hpp"

namespace espalier::tool {

/// Values from one place, as texts.
struct Layer {
  struct Value {
    std::string name;
    std::vector<std::string> texts;
    std::string source;  ///< what an error calls it
  };
  Origin origin = Origin::fallback;
  std::string where;
  std::vector<Value> values;
};

/// default < the run that is resumed < config file < ESPALIER_* < command line.
void resolve(Request& request, const Layer& command_line);

}  // namespace espalier::tool
