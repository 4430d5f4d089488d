// SPDX-License-Identifier: MIT
#include "comparison.hpp"

#include <algorithm>
#include <cmath>
#include <espalier/io/file.hpp>

#include "numbers.hpp"
#include "threads.hpp"

namespace espalier::tool {
namespace {

constexpr const char* kRows[] = {"parameters", "MACs per token", "file size", "perplexity", "latency"};

std::vector<std::string> cells(const Measured& m) {
  return {with_commas(m.facts.parameters), brief(double(m.facts.macs)),
          m.file_bytes == 0 ? "" : bytes_text(double(m.file_bytes)),
          m.evaluation.tokens == 0 ? "" : fixed(m.evaluation.perplexity, 3),
          m.latency == 0 ? "" : milliseconds(m.latency)};
}

}  // namespace

json::Value Measured::json() const {
  json::Value out = json::Value::object({{"parameters", facts.parameters}, {"macs_per_token", facts.macs}});
  if (file_bytes > 0) out.set("file_bytes", file_bytes);
  if (evaluation.tokens > 0) {
    out.set("loss", std::isfinite(evaluation.loss) ? json::Value(evaluation.loss) : json::Value());
    out.set("perplexity", std::isfinite(evaluation.perplexity) ? json::Value(evaluation.perplexity) : json::Value());
    out.set("tokens", evaluation.tokens);
  }
  if (latency > 0) out.set("latency_ms", latency * 1e3);
  return out;
}

std::vector<std::string> changes(const Measured& before, const Measured& after) {
  std::vector<std::string> out;
  out.push_back(change_text(double(before.facts.parameters), double(after.facts.parameters)));
  out.push_back(change_text(double(before.facts.macs), double(after.facts.macs)));
  out.push_back(before.file_bytes == 0 || after.file_bytes == 0
                    ? ""
                    : change_text(double(before.file_bytes), double(after.file_bytes)));
  out.push_back(before.evaluation.tokens == 0 || after.evaluation.tokens == 0
                    ? ""
                    : printed("%+.3f", after.evaluation.perplexity - before.evaluation.perplexity));
  out.push_back(before.latency == 0 || after.latency == 0 ? "" : printed("%.2fx", before.latency / after.latency));
  return out;
}

Table comparison(const std::vector<Measured>& models) {
  Table table;
  table.head = {""};
  std::vector<std::vector<std::string>> columns;
  for (const Measured& m : models) table.head.push_back(m.name), columns.push_back(cells(m));
  if (models.size() > 1) table.head.push_back("change"), columns.push_back(changes(models[0], models[1]));
  for (std::size_t r = 0; r < std::size(kRows); ++r) {
    std::vector<std::string> row{kRows[r]};
    bool any = false;
    for (const auto& column : columns) row.push_back(column[r]), any = any || !column[r].empty();
    if (any) table.rows.push_back(row);
  }
  return table;
}

std::uint64_t weight_bytes(const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const std::string& name : io::list_directory(directory))
    if (name.ends_with(".safetensors")) bytes += io::File(io::join(directory, name)).size();
  return bytes;
}

std::vector<double> latencies(const std::vector<Engine*>& models, const std::vector<int>& tokens, Index runs) {
  std::vector<std::vector<double>> seconds(models.size());
  const Shape shape{1, Index(tokens.size())};
  for (Index r = -3; r < runs; ++r) {  // the first three warm up
    for (std::size_t m = 0; m < models.size(); ++m) {
      const double s = models[m]->forward_seconds(tokens, shape);
      if (r >= 0) seconds[m].push_back(s);
    }
  }
  std::vector<double> medians;
  for (auto& s : seconds) {
    std::sort(s.begin(), s.end());
    const std::size_t n = s.size();
    medians.push_back(n % 2 == 1 ? s[n / 2] : 0.5 * (s[n / 2 - 1] + s[n / 2]));
  }
  return medians;
}

std::vector<int> sample(const Tokens& tokens, Index length) {
  std::vector<int> out;
  for (Index i = 0; i < length; ++i) out.push_back(tokens.ids[std::size_t(i % tokens.size())]);
  return out;
}

EvaluateOptions evaluation_of(const Settings& s) {
  return {.length = s.seq_len,
          .stride = 0,
          .size = s.batch,
          .at_most = s.val_tokens == 0 ? 0 : std::max<Index>(1, s.val_tokens / s.seq_len)};
}

std::string perplexity_protocol(const Settings& s, const std::string& source) {
  return format(
      "Perplexity: {}{}, in windows of {} tokens that do not overlap, every token but the first of the text predicted "
      "once.",
      s.val_tokens > 0 ? format("the first {} tokens of ", with_commas(s.val_tokens)) : "", source, s.seq_len);
}

std::string latency_protocol(const Settings& s) {
  return format("Latency: median of {} forward runs over one sequence of {} tokens, the models in turn, {}.", s.runs,
                s.seq_len,
                threads_in_use() == 1 ? std::string("one thread") : format("{} threads", Index(threads_in_use())));
}

}  // namespace espalier::tool
