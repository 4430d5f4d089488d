// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/dtype_names.hpp>
#include <espalier/io/json.hpp>
#include <espalier/model/source.hpp>
#include <espalier/prune/latency.hpp>
#include <espalier/prune/report.hpp>
#include <optional>
#include <string>

#include "facts.hpp"
#include "table.hpp"

namespace espalier::tool {

/// What somebody wants to be left, in the numbers they gave; at most one of them is there.
struct TargetRequest {
  double parameters = 0, macs = 0, bytes = 0, seconds = 0;
  Index positions = 0;  ///< of the sequences for which MACs count attention, causal in models of language; 0: weights only
  std::string layout = "automatic";
  std::optional<Dtype> dtype = {};

  bool given() const { return parameters > 0 || macs > 0 || bytes > 0 || seconds > 0; }
};

/// The same for the pruner: counted of the directory that will be written. For seconds it prices MACs, and how many
/// may be left is found by measuring.
template <class Family>
Target target_of(const TargetRequest&, const typename Family::Config&, const ModelSource&, const PrunerOptions&);

/// Shapes, pruned and compacted without memory. Which units leave is not known without scores, how many is. Refuses what
/// cannot be written.
template <class Family>
struct Planned {
  PruneReport report;
  Facts facts;
  typename Family::Config stored;  ///< as a directory has it
  double file_bytes = 0;           ///< of its tensors
};
/// Compiled in planned.cpp, for every family of language models.
template <class Family>
Planned<Family> planned(const typename Family::Config&, const ModelSource&, PrunerOptions, double sparsity, const TargetRequest&);

/// A latency that was asked for and what came of it, in seconds.
struct LatencyReached {
  double asked = 0, reached = 0, tolerance = 0.05;
  bool within() const { return reached >= asked * (1 - tolerance) && reached <= asked * (1 + tolerance); }
};
/// What was asked for, what is there, and how near that had to be. `left`: as counted in the end. macs_at: of sequences of so
/// many tokens, where attention is counted.
Table target_table(const PruneReport&, const PrunerOptions&, double left, Index macs_at, const std::optional<LatencyReached>& = {});
json::Value target_json(const PruneReport&, double left);
json::Value latency_json(const LatencyFit&);

}  // namespace espalier::tool
