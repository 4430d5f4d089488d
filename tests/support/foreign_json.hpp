// SPDX-License-Identifier: MIT
#pragma once
// JSON as somebody else reads it: nlohmann's reader and printer cost a test two seconds, so they are compiled once.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <string_view>

namespace espalier::test {

/// Throws at a text that is malformed, unless that is asked for: then the value is discarded.
nlohmann::json foreign_json(std::string_view text, bool throws = true);

}  // namespace espalier::test

template <>
struct doctest::StringMaker<nlohmann::json> {
  static String convert(const nlohmann::json& x);
};
