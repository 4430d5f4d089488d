// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "settings.hpp"

namespace espalier::tool {

using Field = std::variant<bool Settings::*, Index Settings::*, double Settings::*, std::string Settings::*,
                           std::vector<std::string> Settings::*>;

/// One option, said once: the command line, ESPALIER_* variables, config files, --help, --print-config and run.json
/// are all made from it.
struct Option {
  std::string name;  ///< key of a config file; --name on the command line; empty spellings: positional
  Field field;
  unsigned verbs;     ///< which verbs know it
  std::string group;  ///< heading in --help
  std::string value;  ///< what stands for the value in --help
  std::string help;
  std::vector<std::string> choices = {};
  std::vector<std::string> aliases = {};  ///< other spellings with their dashes: "-r", "--lora_alpha"
  bool optional_value = false;            ///< --resume may stand alone

  bool serves(Verb verb) const { return (verbs & static_cast<unsigned>(verb)) != 0; }
  bool is_flag() const { return std::holds_alternative<bool Settings::*>(field); }
  bool is_list() const { return std::holds_alternative<std::vector<std::string> Settings::*>(field); }
  bool is_text() const { return std::holds_alternative<std::string Settings::*>(field) || is_list(); }
  /// Any name of it, without dashes and with - for _.
  bool is_called(std::string_view key) const;
};

const std::vector<Option>& options();
const Option* find_option(std::string_view key);

struct VerbWords {
  Verb verb;
  std::string name, summary, model;  ///< model: what the positional argument is called; empty: there is none
  std::string description, examples;
};
const std::vector<VerbWords>& verbs();
const VerbWords& words_of(Verb verb);

/// Defaults that differ from verb to verb.
Settings defaults_of(Verb verb);

/// Reads a value as people write it: 3e-4, 60M, q_proj,v_proj. `source` is named in the error.
void assign(const Option& option, Settings& settings, const std::vector<std::string>& texts, const std::string& source);
/// A number as an option has it, 50% included.
double read_number(const Option& option, const std::string& text, const std::string& source);
[[noreturn]] void refuse(const Option& option, const std::string& text, const std::string& wanted, const std::string& source);
/// A value as it would be written on a command line; lists with commas.
std::string text_of(const Option& option, const Settings& settings);

/// Whether it says anything under these settings: what belongs to low-rank adapters does not where weights learn in full.
bool is_read(const Option&, const Settings&);

}  // namespace espalier::tool
