// SPDX-License-Identifier: MIT
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fit_run.hpp"
#include "trouble.hpp"

namespace espalier::tool {

struct Variant {
  std::string name, directory;
};

/// A pruned model as its files are: loaded again, evaluated and timed beside the dense one.
struct PrunedResult {
  std::vector<Measured> models;  ///< dense, pruned, and what else was asked for
  Table table;
  Table target;                       ///< what was asked for, reached, and how near that had to be
  std::optional<Trouble> missed;      ///< something that was asked for and is not there
  Report report;
  json::Value json;
};

/// Ends a run whose result is written and is not what was asked for.
void require_reached(const PrunedResult&);

/// `variants`: the pruned directory first. Only that one is evaluated.
PrunedResult measure_pruned(FitRun&, const Request&, const std::vector<Variant>& variants, const Written&);

}  // namespace espalier::tool
