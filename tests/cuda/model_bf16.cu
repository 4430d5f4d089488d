// SPDX-License-Identifier: MIT
#include <espalier/backend/cuda.hpp>

#include "model_run_of.hpp"

espalier::test::ModelRun espalier::test::run_in_bf16(const std::string& model, const std::string& scratch) {
  return run_on<Cuda<BFloat16>>(model, scratch);
}
