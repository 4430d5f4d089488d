// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <vector>

#include "chart.hpp"
#include "table.hpp"
#include "trials.hpp"

namespace espalier::tool {

/// Arms that differ in their seeds only, brought together; the best of each sparsity first, by the loss or by the metric of the
/// task, what is not a number last. `dense`: what the arm that was tuned alone is called.
Table comparison_table(const std::vector<Trial>&, const std::string& dense);
/// The same as data.
json::Value comparison_json(const std::vector<Trial>&);
/// Differences in held-out loss, seed by seed, of arms that share everything up to pruning: from lora, or where that is not
/// among them from the criterion that was named first. Where there is one criterion, there are none.
std::string reference_of(const std::vector<Trial>&);
Table paired_table(const std::vector<Trial>&);
json::Value paired_json(const std::vector<Trial>&);
/// Held-out loss, or the metric of the task, over sparsity: a curve a criterion.
Chart comparison_chart(const std::vector<Trial>&);

}  // namespace espalier::tool
