// SPDX-License-Identifier: MIT
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "single.hpp"

namespace espalier::test {

/// tests/data/oracle.json, made by tests/python/oracle.py.
const nlohmann::json& oracle_numbers();
/// tests/data/importance.json, made by tests/python/make_importance_golden.py.
const nlohmann::json& importance_numbers();
/// tests/data/weights.json, made by tests/python/make_weight_golden.py.
const nlohmann::json& weight_numbers();
/// A vector or matrix of the file, row by row.
std::vector<double> numbers(const nlohmann::json& x);

template <class T, int R>
std::vector<double> as_doubles(View<T, R> v) {
  return std::vector<double>(v.data, v.data + v.size());
}

}  // namespace espalier::test
