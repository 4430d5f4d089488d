// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/io/json.hpp>
#include <string>
#include <vector>

#include "engine.hpp"
#include "settings.hpp"
#include "table.hpp"

namespace espalier::tool {

/// One model, counted and measured. What was not measured stays zero and is not shown.
struct Measured {
  std::string name;
  Facts facts;
  std::uint64_t file_bytes = 0;  ///< of its weight files, as they lie on disk
  Evaluation evaluation;
  double latency = 0;  ///< seconds: median of forward runs

  json::Value json() const;
};

/// Models side by side; the change is that of the second from the first.
Table comparison(const std::vector<Measured>& models);
/// The change in words for each row.
std::vector<std::string> changes(const Measured& before, const Measured& after);

/// Size of the weight files of a directory.
std::uint64_t weight_bytes(const std::string& directory);

/// Median seconds of `runs` forward runs of each model, in turn, so that what else the machine does meets all alike.
std::vector<double> latencies(const std::vector<Engine*>& models, const DataSet& data, Index length, Index runs);

/// With a capital letter.
std::string capital(std::string word);

/// The number that an evaluation is known by: perplexity, the first metric of its task, or its loss where it has none.
struct Headline {
  std::string name;
  double value = 0;
  bool lower_is_better = true;
  explicit Headline(const Evaluation&);
  bool better_than(const Headline& other) const { return lower_is_better ? value < other.value : value > other.value; }
};

EvaluateOptions evaluation_of(const Settings& settings);
/// Where held-out data come from, in words: --val, or a part of all of --data.
std::string held_out_source(const Settings& settings, const DataSet& whole);
/// How an evaluation and a latency were taken, in words.
std::string evaluation_protocol(const Settings& settings, const std::string& source, const Evaluation&);
/// How many examples were cut.
std::string cut_line(const DataSet&);
std::string latency_protocol(const Settings& settings, const DataSet& data);

}  // namespace espalier::tool
