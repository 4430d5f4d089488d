// SPDX-License-Identifier: MIT
#include "layers.hpp"

#include <cstdlib>
#include <espalier/io/file.hpp>
#include <espalier/io/json_file.hpp>

#include "nearest.hpp"
#include "options_table.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

std::string variable_of(const Option& option) {
  std::string out = "ESPALIER_";
  for (const char c : option.name) out += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return out;
}

Layer from_environment(Verb verb) {
  Layer layer{Origin::environment, "", {}};
  for (const Option& o : options()) {
    const std::string variable = variable_of(o);
    if (const char* text = std::getenv(variable.c_str()); text != nullptr && *text != '\0' && o.serves(verb)) {
      layer.values.push_back({o.name, {text}, "the environment, " + variable});
    }
  }
  return layer;
}

Layer from_file(const std::string& path, Verb verb) {
  const std::string text = within("--config", "", [&] { return io::read_file(path, 1 << 20); });
  Layer general{Origin::file, path, {}}, own{Origin::file, path, {}};
  for (const TomlEntry& e : parse_toml(text, path)) {
    const std::string where = format("{}, line {}", path, e.line);
    const VerbWords* table = nullptr;
    std::vector<std::string> names;
    for (const VerbWords& w : verbs()) {
      names.push_back(w.name);
      if (w.name == e.table) table = &w;
    }
    if (!e.table.empty() && table == nullptr) {
      const std::string near = nearest(e.table, names);
      throw Trouble{Errc::usage, "unknown table [" + e.table + "]", where,
                    near.empty() ? "tables are named like verbs" : "did you mean [" + near + "]?"};
    }
    const Verb meant = table != nullptr ? table->verb : verb;
    const Option* option = e.key == "model" ? nullptr : find_option(e.key);
    if (option != nullptr && (option->name == "config" || option->name == "print-config")) option = nullptr;
    if (e.key != "model" && (option == nullptr || !option->serves(meant))) {
      if (option != nullptr) {
        throw Trouble{Errc::usage, "'" + e.key + "' is not an option of " + words_of(meant).name, where,
                      "put it under the table of a verb that has it, e.g. [prune]"};
      }
      names.clear();
      for (const Option& o : options())
        if (o.serves(meant)) names.push_back(o.name);
      const std::string near = nearest(e.key, names);
      throw Trouble{Errc::usage, "unknown key '" + e.key + "'", where,
                    near.empty() ? "espalier " + words_of(meant).name + " --print-config lists the keys"
                                 : "did you mean '" + near + "'?"};
    }
    if (option != nullptr && e.is_array && !option->is_list())
      throw Trouble{Errc::usage, "'" + e.key + "' is no list", where, ""};
    if (table != nullptr && table->verb != verb) continue;
    (table != nullptr ? own : general).values.push_back({option != nullptr ? option->name : "model", e.values, where});
  }
  for (Layer::Value& v : own.values) general.values.push_back(std::move(v));  // a verb's own table wins
  return general;
}

std::vector<std::string> texts_of(const json::Value& value, const std::string& name) {
  if (value.is_string()) return {value.as_string()};
  if (!value.is_array()) return {value.dump()};
  std::vector<std::string> texts;
  for (const json::Value& element : value.elements()) texts.push_back(element.as_string(name));
  return texts;
}

/// The settings that run.json of an earlier run kept.
Layer from_run(const std::string& directory, Verb verb) {
  const std::string path = io::join(directory, "run.json");
  Layer layer{Origin::run, path, {}};
  within("--resume", "name the output directory of the run that was interrupted", [&] {
    const json::Value run = json::read_file(path);
    if (const std::string was = run.text("verb"); was != words_of(verb).name) {
      fail(Errc::usage, "{}: that was 'espalier {}', not 'espalier {}'", path, was, words_of(verb).name);
    }
    for (const auto& [name, value] : run.at("settings").members("settings")) {
      const Option* option = find_option(name);
      if (name != "model" && (option == nullptr || !option->serves(verb))) continue;
      layer.values.push_back({name, texts_of(value, name), path});
    }
  });
  return layer;
}

void apply(Request& request, const Layer& layer) {
  for (const Layer::Value& v : layer.values) {
    if (v.name == "model") {
      request.settings.model = v.texts.back();
      request.origin["model"] = layer.origin;
      continue;
    }
    const Option& option = *find_option(v.name);
    const std::string before = text_of(option, request.settings);
    assign(option, request.settings, v.texts, v.source);
    // A file that --print-config wrote holds every option: what holds anyway was said by nobody.
    if (layer.origin == Origin::file && text_of(option, request.settings) == before) continue;
    request.origin[v.name] = layer.origin;
  }
}

}  // namespace

void resolve(Request& request, const Layer& command_line) {
  const Layer environment = from_environment(request.verb);
  std::string config, resume, out;
  for (const Layer* layer : {&environment, &command_line}) {
    for (const Layer::Value& v : layer->values) {
      if (v.name == "config") config = v.texts.back();
      if (v.name == "resume") resume = v.texts.back();
      if (v.name == "out") out = v.texts.back();
    }
  }
  Layer file;
  if (!config.empty()) file = from_file(config, request.verb);
  for (const Layer::Value& v : file.values) {
    if (v.name == "resume" && resume.empty()) resume = v.texts.back();
    if (v.name == "out" && out.empty()) out = v.texts.back();
  }
  if (resume == "." && !out.empty()) resume = out;
  if (!resume.empty()) {
    if (!out.empty() && out != resume) {
      throw Trouble{Errc::usage, "--resume " + resume + " goes on in that directory, not in " + out, "--out",
                    "leave --out away"};
    }
    apply(request, from_run(resume, request.verb));
  }
  const bool uniform = request.settings.layout == "uniform" && !resume.empty();
  apply(request, file);
  apply(request, environment);
  const std::string model = request.origin.count("model") > 0 && request.origin["model"] == Origin::command_line
                                ? request.settings.model
                                : "";
  apply(request, command_line);
  if (!model.empty()) request.settings.model = model;
  if (!resume.empty()) request.settings.resume = request.settings.out = resume;
  // A run goes on with what it asks of layers, in whichever layout they are written.
  if (uniform && request.settings.layout != "uniform") request.settings.uniform = true, request.origin["uniform"] = Origin::run;
}

}  // namespace espalier::tool
