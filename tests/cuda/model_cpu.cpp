// SPDX-License-Identifier: MIT
#include <espalier/backend/cpu.hpp>

#include "model_run_of.hpp"

espalier::test::ModelRun espalier::test::run_on_cpu(const std::string& model, const std::string& scratch) {
  return run_on<Cpu<float>>(model, scratch);
}
