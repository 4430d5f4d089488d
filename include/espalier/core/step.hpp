// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// What varies from step to step. It lives on the device, so that a step can be recorded once and replayed.
struct StepState {
  std::uint64_t seed = 0;   ///< of every random number
  std::uint32_t step = 0;   ///< optimizer steps taken
  std::uint32_t micro = 0;  ///< micro-batch within the step
  double rate = 0;          ///< learning rate
  double correction1 = 1;   ///< 1 - beta1^t of AdamW
  double correction2 = 1;   ///< 1 - beta2^t
  double weight = 0;        ///< of each counted target in the loss
  // From here on the device writes, and the host only looks.
  double norm = 0;            ///< global norm of the gradients, before clipping
  double clip = 1;            ///< factor on the gradients after clipping by global norm; negative: this step is skipped
  std::uint64_t skipped = 0;  ///< steps that were skipped because the norm was not finite
  double loss = 0;            ///< of the whole accumulated batch
};

}  // namespace espalier::inline v0
