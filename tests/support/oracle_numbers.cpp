// SPDX-License-Identifier: MIT
#include "oracle_numbers.hpp"

#include <fstream>

namespace espalier::test {

const nlohmann::json& oracle_numbers() {
  static const nlohmann::json numbers = nlohmann::json::parse(std::ifstream(ESPALIER_TEST_DATA "/oracle.json"));
  return numbers;
}

const nlohmann::json& importance_numbers() {
  static const nlohmann::json numbers = nlohmann::json::parse(std::ifstream(ESPALIER_TEST_DATA "/importance.json"));
  return numbers;
}

const nlohmann::json& weight_numbers() {
  static const nlohmann::json json = nlohmann::json::parse(std::ifstream(ESPALIER_TEST_DATA "/weights.json"));
  return json;
}

std::vector<double> numbers(const nlohmann::json& x) {
  std::vector<double> out;
  for (const auto& row : x) {
    if (row.is_array()) {
      for (const auto& v : row) out.push_back(v.get<double>());
    } else {
      out.push_back(row.get<double>());
    }
  }
  return out;
}

}  // namespace espalier::test
