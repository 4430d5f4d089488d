// SPDX-License-Identifier: MIT
#include "run_record.hpp"

#include "requests.hpp"

#include <ctime>
#include <espalier/train/manifest.hpp>
#include <type_traits>

#include "numbers.hpp"
#include "options_table.hpp"
#include "requests.hpp"
#include "threads.hpp"

namespace espalier::tool {
namespace {

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

/// Not part of what a run computes.
bool is_passing(const Option& o) {
  for (const char* name :
       {"print-config", "config", "resume", "overwrite", "dry-run", "json", "quiet", "verbose", "no-color"})
    if (o.name == name) return true;
  return false;
}

}  // namespace

json::Value settings_json(const Request& request) {
  json::Value out = json::Value::object();
  if (!request.settings.model.empty()) out.set("model", request.settings.model);
  for (const Option& o : options()) {
    if (!o.serves(request.verb) || is_passing(o) || !is_read(o, request.settings)) continue;
    std::visit([&](auto member) { out.set(o.name, json::Value(request.settings.*member)); }, o.field);
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> shown_settings(const Request& request) {
  std::vector<std::pair<std::string, std::string>> out;
  if (!request.settings.model.empty()) out.emplace_back("model", request.settings.model);
  for (const Option& o : options()) {
    if (!o.serves(request.verb) || is_passing(o) || !is_read(o, request.settings)) continue;
    const std::string text = text_of(o, request.settings);
    if (text.empty() || (o.is_flag() && text == "false")) continue;
    const bool unset_at_zero = o.name == "steps" || o.name.starts_with("target-") || o.name == "macs-at" || o.name.starts_with("min-") ||
                               o.name == "layer-floor" || o.name == "threads" || o.name == "log-every" || o.name == "val-tokens";
    if (unset_at_zero && text == "0") continue;
    if (o.name == "epochs" && request.settings.steps > 0) continue;
    if (o.name == "sparsity" && target_request(request.settings).given()) continue;
    if (o.name == "compact") {
      out.emplace_back(o.name, compacts_live(request.settings) ? "live" : "end");
      continue;
    }
    out.emplace_back(o.name, text);
  }
  return out;
}

RunRecord::RunRecord(const Request& request) : root_(json::Value::object()) {
  root_.set("espalier", ESPALIER_VERSION_STRING);
  root_.set("verb", words_of(request.verb).name);
  root_.set("status", "running");
  root_.set("command", request.command);
  root_.set("started", now_utc());
  root_.set("wall_seconds", 0.0);
  root_.set("seed", request.settings.seed);
  root_.set("threads", threads_in_use());
  root_.set("device", request.settings.device);
  root_.set("versions", detail::versions());
  root_.set("settings", settings_json(request));
}

void RunRecord::data(const std::string& key, const DataSet& file) {
  root_.set(key, json::Value::object({{"source", file.source()}, {file.unit(), file.size()}, {"sha256", file.hash()}}));
}

double RunRecord::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

std::string RunRecord::text(const std::string& status) {
  root_.set("status", status);
  root_.set("wall_seconds", seconds());
  return root_.dump(2) + "\n";
}

std::vector<std::pair<std::string, std::string>> RunRecord::provenance() const {
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("started", root_.text("started"));
  out.emplace_back("wall time", clock_text(seconds()));
  out.emplace_back("threads", std::to_string(threads_in_use()));
  out.emplace_back("seed", std::to_string(root_.index("seed")));
  out.emplace_back("instructions", root_.at("versions").text("instructions"));
  out.emplace_back("compiler", root_.at("versions").text("compiler"));
  for (const char* key : {"data", "val"}) {
    const json::Value* data = root_.find(key);
    if (data == nullptr) continue;
    for (const char* unit : {"tokens", "examples"})
      if (data->contains(unit)) out.emplace_back(format("{} {}", key, unit), with_commas(data->index(unit)));
    out.emplace_back(std::string(key) + " sha256", data->text("sha256").substr(0, 16));
  }
  return out;
}

}  // namespace espalier::tool
