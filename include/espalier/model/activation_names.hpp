// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/config_reader.hpp>
#include <espalier/nn/mlp.hpp>
#include <string>
#include <string_view>

namespace espalier::inline v0 {

/// The names that configurations have for what stands between two maps.
inline ActivationFunction read_activation(const ConfigReader& config, std::string_view key, std::string_view otherwise) {
  const std::string name = config.text(key, otherwise);
  if (name == "relu") return ActivationFunction::relu;
  if (name == "silu" || name == "swish") return ActivationFunction::silu;
  if (name == "gelu") return ActivationFunction::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return ActivationFunction::gelu_tanh;
  config.refuse("{} is {}, which is not supported: gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu and silu are", key,
                printable(name));
}

}  // namespace espalier::inline v0
