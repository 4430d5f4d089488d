// SPDX-License-Identifier: MIT
#pragma once
// Laws of whole models on the oracle: a gradient is the derivative of the loss; masked == compacted == merged, in any order.
#include <doctest/doctest.h>

#include <espalier/core/batch.hpp>
#include <espalier/nn/merge.hpp>
#include <espalier/prune/compact.hpp>
#include <string>
#include <vector>

#include "gradients.hpp"

namespace espalier::test {

/// Tokens, texts or images: the model says what a batch is.
template <class Model, class Batch>
std::vector<double> logits_of(Model& model, const Batch& batch) {
  if constexpr (requires { model.logits(batch); }) return model.logits(batch);
  else return model.logits(batch.tokens, batch.shape);
}

/// A model with its numbers drawn.
template <class Model>
struct Drawn {
  using Device = typename Model::DeviceType;
  Device device;
  Model model;

  template <class Config>
  explicit Drawn(const Config& c) : model(device, {c}, options()) {
    randomise(model, 3);
  }
  /// In each layer the unit of the layer's number leaves, of the groups of that kind; of all, where none is said.
  void mask(const std::string& kind = "") {
    model.groups([&](auto group) {
      std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
      if (group.kind == kind || kind.empty()) alive[std::size_t(group.layer)] = 0;
      group.mask->set(device, alive);
    });
  }
  template <class Batch>
  std::vector<double> logits(const Batch& batch) {
    return logits_of(model, batch);
  }

 private:
  static auto options() {
    typename Model::AdapterOptions o{};
    if constexpr (requires { o.rank; }) o.rank = 2, o.alpha = 3;  // larger adapters would saturate what attention makes of them
    return o;
  }
};

/// The largest error of backward over all parameters, against the complex step on the loss of the same model.
template <class RealModel, class ComplexModel, class Batch>
double gradient_error(RealModel& real, ComplexModel& imaginary, const Batch& batch) {
  real.loss(batch);
  Gradients got, exact;
  for_each_parameter(real, [&](const std::string& path, auto& p) {
    got.tensors.emplace_back(p.grad.data, p.grad.data + p.size());
    got.names.push_back(path);
  });
  for_each_parameter(imaginary, [&](const std::string& path, auto& p) {
    std::vector<double> slopes;
    for (Index i = 0; i < p.size(); ++i) {
      p.value.data[i] += std::complex<double>(0, 1e-50);
      slopes.push_back(imaginary.evaluate(batch).value().imag() / 1e-50);
      p.value.data[i] = p.value.data[i].real();
    }
    exact.tensors.push_back(std::move(slopes));
    exact.names.push_back(path);
  });
  CHECK_FALSE(exact.tensors.empty());
  return worst_error(got, exact);
}

/// A group that is masked; that has left, and is merged then; that is merged while it is masked, and leaves then: one function.
template <class Model, class Config, class Batch>
void expect_compacted(const Config& config, const Batch& batch, const std::string& kind) {
  CAPTURE(kind);
  Drawn<Model> drawn(config), merged(config);
  const auto whole = drawn.logits(batch);
  drawn.mask(kind), merged.mask(kind);
  const auto masked = drawn.logits(batch);
  CHECK(relative_error(masked, whole) > 1e-3);
  compact(drawn.model);
  CHECK(relative_error(drawn.logits(batch), masked) <= 1e-12);
  merge(drawn.model);
  CHECK(relative_error(drawn.logits(batch), masked) <= 1e-12);
  unmerge(drawn.model);
  CHECK(relative_error(drawn.logits(batch), masked) <= 1e-10);

  merge(merged.model);
  CHECK(relative_error(merged.logits(batch), masked) <= 1e-12);
  compact(merged.model);
  CHECK(relative_error(merged.logits(batch), masked) <= 1e-12);
  unmerge(merged.model);
  CHECK(relative_error(merged.logits(batch), masked) <= 1e-10);
}

/// An adapter behind the weight mixes a projection's outputs. Trained with all of them it is merged before some leave: what
/// leaves then are rows of (I + s B A) W, which is another function than masks on both of its sides.
template <class Model, class Config, class Batch>
void expect_merged_first(const Config& config, const Batch& batch) {
  Drawn<Model> drawn(config), unmerged(config);
  const auto whole = drawn.logits(batch);
  merge(drawn.model);
  CHECK(relative_error(drawn.logits(batch), whole) <= 1e-12);
  drawn.mask(), unmerged.mask();
  const auto masked = drawn.logits(batch);
  CHECK(relative_error(masked, whole) > 1e-3);
  CHECK(relative_error(masked, unmerged.logits(batch)) > 1e-3);
  compact(drawn.model);
  CHECK(relative_error(drawn.logits(batch), masked) <= 1e-12);
}

}  // namespace espalier::test
