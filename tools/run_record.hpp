// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <espalier/io/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data_set.hpp"
#include "settings.hpp"

namespace espalier::tool {

/// Everything that was asked for, typed, as run.json keeps it and --resume reads it.
json::Value settings_json(const Request& request);
/// The settings that a reader wants to see, name and value.
std::vector<std::pair<std::string, std::string>> shown_settings(const Request& request);

/// run.json: enough to know what was done, with what, and how it ended.
class RunRecord {
 public:
  explicit RunRecord(const Request& request);
  void data(const std::string& key, const DataSet& file);
  void set(const std::string& key, json::Value value) { root_.set(key, std::move(value)); }
  /// status: running, interrupted, done or failed.
  std::string text(const std::string& status);
  double seconds() const;
  /// What the report says about where it was made.
  std::vector<std::pair<std::string, std::string>> provenance() const;

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  json::Value root_;
};

}  // namespace espalier::tool
