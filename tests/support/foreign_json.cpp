// SPDX-License-Identifier: MIT
#include "foreign_json.hpp"

nlohmann::json espalier::test::foreign_json(std::string_view text, bool throws) {
  return nlohmann::json::parse(text, nullptr, throws);
}

doctest::String doctest::StringMaker<nlohmann::json>::convert(const nlohmann::json& x) { return x.dump().c_str(); }
