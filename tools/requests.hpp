// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/adapter/low_rank.hpp>
#include <espalier/io/dtype_names.hpp>
#include <espalier/io/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine.hpp"
#include "settings.hpp"

namespace espalier::tool {

// From what a person wrote to what the library takes.
LowRankOptions adapter_options(const Settings&);
/// What was tuned, after the word itself: "with adapters of rank 8".
std::string how_tuned(const Settings&);
PrunerOptions pruner_options(const Settings&);
/// What --compact comes to: masked units leave while the run goes on.
bool compacts_live(const Settings&);
/// None: groups leave.
std::optional<WeightPattern> weight_pattern(const Settings&);
TargetRequest target_request(const Settings&);
TaskRequest task_request(const Settings&);
DocumentRequest document_request(const Settings&);
/// What makes a run the run it is: its settings without files, speed and talk.
json::Value identity_of(const Request&);
/// --steps, or --epochs of so many windows or examples.
Index steps_of(const Settings&, Index epoch);
FitPlan fit_plan(const Request&, const std::string& checkpoints);
std::optional<Dtype> dtype_called_by(const std::string& dtype);  ///< none: as the checkpoint
/// Refuses a missing positional argument with a hint.
void need_model(const Request&);
/// Refuses --targets that name nothing.
void need_trainable(const Facts&);

}  // namespace espalier::tool
