// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <string>
#include <vector>

#include "engine.hpp"
#include "table.hpp"

namespace espalier::tool {

/// Scores of the units of each layer, and how many of them each share would remove.
Table scores_table(const Scored&, const std::vector<double>& shares);
/// Every unit with its score and the least share with which it would leave.
Table units_table(const Scored&, const std::vector<double>& shares);
/// Which units one share leaves.
Table kept_table(const Plan&);
json::Value plan_json(const Plan&, bool scores);

}  // namespace espalier::tool
