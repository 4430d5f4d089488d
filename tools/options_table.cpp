// SPDX-License-Identifier: MIT
#include "options_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "joined.hpp"
#include "nearest.hpp"
#include "trouble.hpp"

namespace espalier::tool {

void refuse(const Option& option, const std::string& text, const std::string& wanted, const std::string& source) {
  throw Trouble{Errc::usage, format("--{} is '{}', expected {}", option.name, text, wanted), source, ""};
}

double read_number(const Option& option, const std::string& text, const std::string& source) {
  std::string_view digits = text;
  const bool percent = digits.ends_with('%');
  if (percent) digits.remove_suffix(1);
  double x = 0;
  const char* const end = digits.data() + digits.size();
  const auto [at, bad] = std::from_chars(digits.data(), end, x);
  if (bad != std::errc() || at != end || !std::isfinite(x)) refuse(option, text, "a number", source);
  return percent ? x / 100 : x;
}

namespace {

std::string plain(std::string_view key) {
  while (key.starts_with('-')) key.remove_prefix(1);
  std::string out(key);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

/// A number with an optional k, M, G or B behind it.
Index whole_number(const Option& option, const std::string& text, const std::string& source) {
  std::string_view digits = text;
  double unit = 1;
  if (!digits.empty()) {
    switch (digits.back()) {
      case 'k':
      case 'K':
        unit = 1e3;
        break;
      case 'm':
      case 'M':
        unit = 1e6;
        break;
      case 'g':
      case 'G':
      case 'b':
      case 'B':
        unit = 1e9;
        break;
      default:
        break;
    }
  }
  if (unit > 1) digits.remove_suffix(1);
  const char* const end = digits.data() + digits.size();
  if (unit > 1) {
    double x = 0;
    const auto [at, bad] = std::from_chars(digits.data(), end, x);
    if (bad != std::errc() || at != end || !(std::abs(x * unit) < 9e18)) refuse(option, text, "a whole number", source);
    return static_cast<Index>(std::llround(x * unit));
  }
  Index x = 0;
  const auto [at, bad] = std::from_chars(digits.data(), end, x);
  if (bad != std::errc() || at != end) refuse(option, text, "a whole number", source);
  return x;
}

bool truth(const Option& option, const std::string& text, const std::string& source) {
  for (const char* yes : {"true", "1", "yes", "on"})
    if (text == yes) return true;
  for (const char* no : {"false", "0", "no", "off"})
    if (text == no) return false;
  refuse(option, text, "true or false", source);
}

}  // namespace

bool is_read(const Option& option, const Settings& settings) {
  const auto of_adapters = {"rank", "alpha", "dropout", "rslora", "init"};
  return !settings.in_full() || std::find(of_adapters.begin(), of_adapters.end(), option.name) == of_adapters.end();
}

bool Option::is_called(std::string_view key) const {
  const std::string wanted = plain(key);
  if (plain(name) == wanted) return true;
  return std::any_of(aliases.begin(), aliases.end(),
                     [&](const std::string& a) { return a.size() > 2 && plain(a) == wanted; });
}

const Option* find_option(std::string_view key) {
  for (const Option& o : options())
    if (o.is_called(key)) return &o;
  return nullptr;
}

void assign(const Option& option, Settings& settings, const std::vector<std::string>& texts,
            const std::string& source) {
  const std::string text = texts.empty() ? "" : texts.back();
  if (!option.choices.empty() &&
      std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end()) {
    const std::string near = nearest(text, option.choices);
    throw Trouble{Errc::usage,
                  format("--{} is '{}', expected one of {}", option.name, text, joined(option.choices, ", ")), source,
                  near.empty() ? "" : format("did you mean '{}'?", near)};
  }
  std::visit(
      [&](auto member) {
        auto& value = settings.*member;
        using T = std::remove_reference_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>) {
          value = truth(option, text, source);
        } else if constexpr (std::is_same_v<T, Index>) {
          value = whole_number(option, text, source);
        } else if constexpr (std::is_same_v<T, double>) {
          value = read_number(option, text, source);
        } else if constexpr (std::is_same_v<T, std::string>) {
          value = text;
        } else {
          value.clear();
          for (const std::string& item : texts) {
            for (std::size_t at = 0; at <= item.size();) {
              const std::size_t comma = std::min(item.find(',', at), item.size());
              if (comma > at) value.push_back(item.substr(at, comma - at));
              at = comma + 1;
            }
          }
        }
      },
      option.field);
}

std::string text_of(const Option& option, const Settings& settings) {
  return std::visit(
      [&](auto member) -> std::string {
        const auto& value = settings.*member;
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>) {
          return value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, Index>) {
          return std::to_string(value);
        } else if constexpr (std::is_same_v<T, double>) {
          char text[40];
          return {text, std::to_chars(text, text + sizeof text, value).ptr};
        } else if constexpr (std::is_same_v<T, std::string>) {
          return value;
        } else {
          return joined(value, ",");
        }
      },
      option.field);
}

}  // namespace espalier::tool
