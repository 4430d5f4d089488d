// SPDX-License-Identifier: MIT
#include "comparison.hpp"

#include <algorithm>
#include <cmath>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/file.hpp>
#include <string_view>

#include "numbers.hpp"
#include "statistics.hpp"
#include "threads.hpp"

namespace espalier::tool {
namespace {

constexpr const char* kRows[] = {"parameters", "MACs per token", "file size", "perplexity", "latency"};

std::vector<std::string> cells(const Measured& m) {
  return {with_commas(m.facts.parameters), brief(double(m.facts.macs)),
          m.file_bytes == 0 ? "" : bytes_text(double(m.file_bytes)),
          m.evaluation.perplexity == 0 ? "" : fixed(m.evaluation.perplexity, 3),
          m.latency == 0 ? "" : milliseconds(m.latency)};
}

/// A row for each metric, and the loss, of tasks with labels.
void add_metrics(const std::vector<Measured>& models, Table& table) {
  std::vector<std::string> names;
  for (const Measured& m : models)
    if (names.empty())
      for (const Metric& metric : m.evaluation.metrics) names.push_back(metric.name);
  if (!names.empty()) names.push_back("loss");
  for (std::size_t k = 0; k < names.size(); ++k) {
    std::vector<std::string> row{names[k]};
    std::vector<double> values;
    for (const Measured& m : models) {
      const auto& all = m.evaluation.metrics;
      const bool there = k < all.size() || (k == all.size() && m.evaluation.tokens > 0);
      if (there) values.push_back(k < all.size() ? all[k].value : m.evaluation.loss);
      row.push_back(there ? fixed(values.back(), 4) : "");
    }
    if (models.size() > 1) row.push_back(values.size() > 1 ? printed("%+.4f", values[1] - values[0]) : "");
    table.rows.push_back(row);
  }
}

}  // namespace

std::string capital(std::string word) {
  if (!word.empty() && word[0] >= 'a' && word[0] <= 'z') word[0] = char(word[0] - 'a' + 'A');
  return word;
}

Headline::Headline(const Evaluation& e)
    : name(!e.metrics.empty() ? e.metrics[0].name : e.perplexity != 0 ? "perplexity" : "loss"),
      value(!e.metrics.empty() ? e.metrics[0].value : e.perplexity != 0 ? e.perplexity : e.loss),
      lower_is_better(e.metrics.empty()) {}

json::Value Measured::json() const {
  json::Value out = json::Value::object({{"parameters", facts.parameters}, {"macs_per_token", facts.macs}});
  if (file_bytes > 0) out.set("file_bytes", file_bytes);
  if (evaluation.tokens > 0) {
    out.set("loss", std::isfinite(evaluation.loss) ? json::Value(evaluation.loss) : json::Value());
    if (evaluation.metrics.empty()) {
      out.set("perplexity", std::isfinite(evaluation.perplexity) ? json::Value(evaluation.perplexity) : json::Value());
    }
    for (const Metric& metric : evaluation.metrics)
      out.set(metric.name, std::isfinite(metric.value) ? json::Value(metric.value) : json::Value());
    out.set(evaluation.metrics.empty() ? "tokens" : "labels", evaluation.tokens);
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
  out.push_back(before.evaluation.perplexity == 0 || after.evaluation.perplexity == 0
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
    if (std::string_view(kRows[r]) == "perplexity") add_metrics(models, table);
  }
  return table;
}

std::uint64_t weight_bytes(const std::string& directory) {
  const auto bytes_of = [&](const std::string& name) { return io::File(io::join(directory, name)).size(); };
  for (const std::string name : {"model.safetensors", "adapter_model.safetensors"}) {
    if (io::exists(io::join(directory, name))) return bytes_of(name);
    const std::string index = io::join(directory, name + ".index.json");
    if (!io::exists(index)) continue;
    std::uint64_t bytes = 0;
    for (const std::string& shard : parse_checkpoint_index(io::read_file(index), index).shards) bytes += bytes_of(shard);
    return bytes;
  }
  return 0;
}

std::vector<double> latencies(const std::vector<Engine*>& models, const DataSet& data, Index length, Index runs) {
  std::vector<std::vector<double>> seconds(models.size());
  for (Index r = -3; r < runs; ++r) {  // the first three warm up
    for (std::size_t m = 0; m < models.size(); ++m) {
      const double s = models[m]->forward_seconds(data, length);
      if (r >= 0) seconds[m].push_back(s);
    }
  }
  std::vector<double> medians;
  for (const auto& s : seconds) medians.push_back(median(s));
  return medians;
}

EvaluateOptions evaluation_of(const Settings& s) {
  return {.length = s.seq_len,
          .stride = 0,
          .size = s.batch,
          .at_most = s.val_tokens == 0 ? 0 : std::max<Index>(1, s.val_tokens / s.seq_len)};
}

std::string held_out_source(const Settings& s, const DataSet& whole) {
  if (!s.val.empty()) return s.val;
  return std::string_view(whole.unit()) == "tokens" ? "the last 10 % of " + s.data : "10 % of " + s.data + ", drawn at random";
}

std::string evaluation_protocol(const Settings& s, const std::string& source, const Evaluation& e) {
  if (e.perplexity == 0) return format("Metrics: over {} labels of {}, texts cut to {} tokens or to what the model has.", with_commas(e.tokens), source, s.seq_len);
  return format(
      "Perplexity: {}{}, in windows of {} tokens that do not overlap, every token but the first of the text predicted "
      "once.",
      s.val_tokens > 0 ? format("the first {} tokens of ", with_commas(s.val_tokens)) : "", source, s.seq_len);
}

std::string cut_line(const DataSet& data) {
  return format("{} of {} examples in {} were cut: a longer --seq-len keeps more, as far as the model goes", with_commas(data.truncated()),
                with_commas(data.size()), data.source());
}

std::string latency_protocol(const Settings& s, const DataSet& data) {
  const bool tokens = std::string_view(data.unit()) == "tokens";
  return format("Latency: median of {} forward runs over one {}, the models in turn, {}.", s.runs,
                tokens ? format("sequence of {} tokens", s.seq_len)
                       : format("image, or one sequence of {} tokens or as many as the model has", s.seq_len),
                threads_in_use() == 1 ? std::string("one thread") : format("{} threads", Index(threads_in_use())));
}

}  // namespace espalier::tool
