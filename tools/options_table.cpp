// SPDX-License-Identifier: MIT
#include "options_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "granularity.hpp"
#include "joined.hpp"
#include "nearest.hpp"
#include "requests.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

std::string plain(std::string_view key) {
  while (key.starts_with('-')) key.remove_prefix(1);
  std::string out(key);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

[[noreturn]] void refuse(const Option& option, const std::string& text, const std::string& wanted,
                         const std::string& source) {
  throw Trouble{Errc::usage, format("--{} is '{}', expected {}", option.name, text, wanted), source, ""};
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

double number(const Option& option, const std::string& text, const std::string& source) {
  std::string_view digits = text;
  const bool percent = digits.ends_with('%');
  if (percent) digits.remove_suffix(1);
  double x = 0;
  const char* const end = digits.data() + digits.size();
  const auto [at, bad] = std::from_chars(digits.data(), end, x);
  if (bad != std::errc() || at != end || !std::isfinite(x)) refuse(option, text, "a number", source);
  return percent ? x / 100 : x;
}

bool truth(const Option& option, const std::string& text, const std::string& source) {
  for (const char* yes : {"true", "1", "yes", "on"})
    if (text == yes) return true;
  for (const char* no : {"false", "0", "no", "off"})
    if (text == no) return false;
  refuse(option, text, "true or false", source);
}

}  // namespace

namespace {

/// What an arm may say for itself: --criteria obs+update-weights,full+power=abs.
const std::vector<std::string>& options_of_an_arm() {
  static const std::vector<std::string> names{"power", "eta", "scaled", "input-decay", "damp", "update-weights", "ema", "ranking", "revival", "within"};
  return names;
}

}  // namespace

bool is_read(const Option& option, const Settings& settings) {
  const auto of_adapters = {"rank", "alpha", "dropout", "rslora", "init"};
  return !settings.in_full() || std::find(of_adapters.begin(), of_adapters.end(), option.name) == of_adapters.end();
}

std::vector<std::string> criteria_of(const Settings& s) {
  if (!s.criteria.empty()) return s.criteria;
  std::vector<std::string> all = find_option("criterion")->choices;
  std::erase(all, find_unit_word(s.granularity) ? "sparsegpt" : "signed");
  if (s.in_full()) std::erase(all, "lora");
  for (std::string& criterion : all)  // as published: Sanh et al. 2020
    if (criterion == "movement") criterion += "+revival=straight_through";
  if (s.granularity != "layers" && !s.update_weights && s.revival == "none")  // Frantar & Alistarh 2022, and pruning by it
    all.insert(std::find(all.begin(), all.end(), "obs") + 1, "obs+update-weights");
  return all;
}

std::string_view name_of_criterion(std::string_view arm) { return arm.substr(0, arm.find('+')); }

Settings settings_of(const Settings& settings, const std::string& arm, std::vector<std::string>* said) {
  Settings s = settings;
  s.criterion = name_of_criterion(arm);
  for (std::size_t at = s.criterion.size(); at < arm.size();) {
    const std::size_t end = std::min(arm.find('+', at + 1), arm.size()), equals = std::min(arm.find('=', at), end);
    const std::string name = arm.substr(at + 1, equals - at - 1);
    const Option* const option = find_option(name);
    const auto& known = options_of_an_arm();
    if (option == nullptr || std::find(known.begin(), known.end(), option->name) == known.end())
      throw Trouble{Errc::usage, format("--criteria has '{}', where '{}' is no option of a criterion", arm, name), "",
                    "those are " + joined(known, ", ")};
    if (equals == end && !option->is_flag())
      throw Trouble{Errc::usage, format("--criteria has '{}', where {} has no value", arm, name), "", format("{}=VALUE", arm.substr(0, end))};
    assign(*option, s, {equals == end ? "true" : arm.substr(equals + 1, end - equals - 1)}, "--criteria " + arm);
    if (said != nullptr) said->push_back(option->name);
    at = end;
  }
  return s;
}

std::vector<double> shares_of(const Settings& s) {
  if (const auto pattern = weight_pattern(s); pattern && pattern->kind == WeightPattern::Kind::n_of_m) return {pattern->share(0)};
  std::vector<double> shares;
  for (const std::string& text : s.sparsities) {
    const double share = number(*find_option("sparsities"), text, "");
    if (!(share > 0 && share < 1)) refuse(*find_option("sparsities"), text, "shares above 0 and below 1", "");
    shares.push_back(share);
  }
  return shares;
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
          value = number(option, text, source);
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
