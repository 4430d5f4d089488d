// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "settings.hpp"

namespace espalier::tool {

/// One way to prune, once: by this criterion, to this sparsity, with this seed. No criterion: the dense model, tuned alike.
struct Arm {
  std::string criterion;
  double sparsity = 0;
  Index seed = 0;

  bool dense() const { return criterion.empty(); }
  std::string name() const;
  bool operator==(const Arm&) const = default;
};

/// Every arm of a comparison, dense ones first for each seed: so that what they share is trained once.
std::vector<Arm> arms_of(const Settings&);

/// What a comparison goes through: --criteria, or all that know the granularity and what learns; and shares between 0 and 1.
std::vector<std::string> criteria_of(const Settings&);
std::vector<double> shares_of(const Settings&);

/// "obs+update-weights+damp=0.1" is a criterion with options of its own: obs, and the settings it runs with; `said` gets their names.
std::string_view name_of_criterion(std::string_view arm);
Settings settings_of(const Settings&, const std::string& arm, std::vector<std::string>* said = nullptr);

}  // namespace espalier::tool
