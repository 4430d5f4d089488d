// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/dtype_names.hpp>
#include <espalier/model/config_reader.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::inline v0 {

/// The dtype that a config.json names, in either spelling ("torch_dtype" or "dtype"; "torch.bfloat16" or "bfloat16").
inline std::optional<Dtype> read_stored_dtype(const json::Value& object, const std::string& source = "config.json") {
  const ConfigReader config(object, source);
  std::string name = config.text("dtype", config.text("torch_dtype", ""));
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name.empty() || name == "auto") return std::nullopt;
  if (name == "float32") return Dtype::f32;
  if (name == "bfloat16") return Dtype::bf16;
  if (name == "float16") return Dtype::f16;
  if (name == "float64") return Dtype::f64;
  config.refuse("dtype is {}, which is not supported: float32, bfloat16, float16 and float64 are", printable(name));
}

constexpr std::string_view torch_name(Dtype dtype) {
  return dtype == Dtype::bf16 ? "bfloat16" : dtype == Dtype::f16 ? "float16" : dtype == Dtype::f64 ? "float64" : "float32";
}

}  // namespace espalier::inline v0
