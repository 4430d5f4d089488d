// SPDX-License-Identifier: MIT
#include <espalier/backend/cuda.hpp>

#include "model_run_of.hpp"

espalier::test::ModelRun espalier::test::run_in_fp32(const std::string& model, const std::string& scratch) {
  return run_on<Cuda<float>>(model, scratch);
}
