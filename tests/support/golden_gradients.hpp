// SPDX-License-Identifier: MIT
#pragma once
#include <doctest/doctest.h>

#include <cstddef>
#include <espalier/core/visit.hpp>
#include <string>
#include <vector>

#include "golden.hpp"

namespace espalier::test {

/// Every gradient that a model has now against peft's, and as many as peft's adapter has tensors; `named` makes peft's path of ours.
template <class Model, class Case, class F>
void expect_gradients(Model& model, const Case& golden, double bound, F named) {
  std::size_t compared = 0;
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    CAPTURE(path);
    const std::vector<typename Model::DeviceType::Activation> gradient(p.grad.data, p.grad.data + p.size());
    CHECK(relative_gap(gradient, golden.numbers("grad.base_model.model." + named(path))) < bound);
    ++compared;
  });
  CHECK(compared == SafetensorsFile(golden.directory + "/adapter/adapter_model.safetensors").tensors().size());
}
template <class Model, class Case>
void expect_gradients(Model& model, const Case& golden, double bound) {
  expect_gradients(model, golden, bound, [](const std::string& path) { return path; });
}

}  // namespace espalier::test
