// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace espalier::inline v0 {

/// One JSON object of settings. Every value is checked for kind and range where it is read, and every refusal names the
/// file, the key, the value and what was expected. A null stands for a missing value.
class ConfigReader {
 public:
  ConfigReader(const json::Value& object, std::string source) : object_(&object), source_(std::move(source)) {
    if (!object.is_object()) fail(Errc::bad_input, "{}: expected an object of settings at the top", source_);
  }

  const std::string& source() const { return source_; }
  const json::Value& object() const { return *object_; }
  const json::Value* find(std::string_view key) const { return object_->find(key); }
  bool given(std::string_view key) const { return object_->given(key); }

  Index integer(std::string_view key, Index otherwise, Index least, Index most) const {
    return given(key) ? integer(key, least, most) : otherwise;
  }
  Index integer(std::string_view key, Index least, Index most) const {
    const json::Value& value = there(key);
    Index x = least - 1;
    if (value.is_integer() && !(value.as_double() > double(most)) && !(value.as_double() < double(least))) x = value.as_index(key);
    if (x < least || x > most) unexpected(key, value, format("a whole number from {} to {}", least, most));
    return x;
  }
  /// A finite number above `above`.
  double number(std::string_view key, double otherwise, double above) const {
    return given(key) ? number(key, above) : otherwise;
  }
  double number(std::string_view key, double above) const {
    const json::Value& value = there(key);
    if (!value.is_number() || !std::isfinite(value.as_double()) || !(value.as_double() > above)) {
      unexpected(key, value, format("a number above {}", above));
    }
    return value.as_double();
  }
  /// From 0 to below 1.
  double probability(std::string_view key, double otherwise) const {
    const double p = number(key, otherwise, -1e-300);
    if (p >= 1) wrong("{} is {}, expected a number from 0 to below 1", key, p);
    return p;
  }
  bool flag(std::string_view key, bool otherwise) const {
    if (!given(key)) return otherwise;
    const json::Value& value = there(key);
    if (!value.is_bool()) unexpected(key, value, "true or false");
    return value.as_bool();
  }
  std::string text(std::string_view key, std::string_view otherwise) const { return given(key) ? text(key) : std::string(otherwise); }
  std::string text(std::string_view key) const {
    const json::Value& value = there(key);
    if (!value.is_string()) unexpected(key, value, "a text");
    return value.as_string();
  }
  ConfigReader inner(std::string_view key) const { return {there(key), format("{}, {}", source_, key)}; }

  /// A setting that changes what is computed and has one supported value.
  void expect(bool holds, std::string_view key, std::string_view supported) const {
    if (!holds) refuse("{} is {}, which is not supported: {}", key, shown(*find(key)), supported);
  }
  template <class... Args>
  [[noreturn]] void refuse(std::string_view pattern, const Args&... args) const {
    fail(Errc::unsupported, "{}: {}", source_, format(pattern, args...));
  }
  template <class... Args>
  [[noreturn]] void wrong(std::string_view pattern, const Args&... args) const {
    fail(Errc::bad_input, "{}: {}", source_, format(pattern, args...));
  }
  /// A value as it may be printed.
  static std::string shown(const json::Value& value) {
    if (value.is_string()) return printable(value.as_string());
    std::string text = value.dump();
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
  }

 private:
  const json::Value& there(std::string_view key) const {
    if (!given(key)) wrong("{} is missing", key);
    return *find(key);
  }
  [[noreturn]] void unexpected(std::string_view key, const json::Value& value, const std::string& expected) const {
    fail(Errc::bad_input, "{}: {} is {}, expected {}", source_, key, shown(value), expected);
  }

  const json::Value* object_;
  std::string source_;
};

}  // namespace espalier::inline v0
