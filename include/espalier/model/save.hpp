// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <espalier/io/json_file.hpp>
#include <espalier/io/staged_directory.hpp>
#include <espalier/model/compact_config.hpp>
#include <espalier/model/compact_modeling.hpp>
#include <espalier/model/cut.hpp>
#include <espalier/model/outline.hpp>
#include <espalier/model/plan_file.hpp>
#include <espalier/model/tensor_writer.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

struct SaveOptions {
  Layout layout = Layout::automatic;
  std::optional<Dtype> dtype = {};  ///< F32, BF16, F16 or F64; by default each tensor as it was loaded
  bool overwrite = false;           ///< replace a model directory that is already there
  bool merge = true;                ///< write W0 + s B A; false leaves the adapters out, for save_adapter() beside it
  const Plan* plan = nullptr;       ///< the pruner's, for scores and settings in espalier_plan.json
  std::uint64_t shard_bytes = 5'000'000'000;
};

/// What was written.
struct SaveReport {
  std::string directory, model_type;
  Layout layout = Layout::uniform;
  Index heads = 0, groups = 0, feed_forward = 0;
  Index parameters = 0;              ///< in the file: padding included
  std::uint64_t bytes = 0;           ///< of all tensors
  bool pruned = false;               ///< espalier_plan.json is there
  std::vector<std::string> weights;  ///< names of the weight files
  std::vector<std::string> notes;    ///< what somebody who reads the directory should know

  void widest(const std::vector<LayerWidths>& layers) {
    heads = groups = feed_forward = 0;
    for (const LayerWidths& w : layers)
      heads = std::max(heads, w.heads), groups = std::max(groups, w.groups), feed_forward = std::max(feed_forward, w.feed_forward);
  }
};

namespace detail {

/// Only what looks like a model or an adapter is ever replaced, and never what a model was read from.
inline void check_output(const std::string& directory, bool overwrite, const ModelSource& source) {
  if (!io::exists(directory) || !overwrite) return;  // StagedDirectory refuses an existing one without overwrite
  if (!io::is_directory(directory)) return;
  const std::string target = io::resolve(directory);
  if (source && io::exists(source.directory)) {
    const std::string home = io::resolve(source.directory);
    if (home == target || home.starts_with(target + "/")) {
      fail(Errc::usage, "{}: the model was read from here, and is not written over its own source: name another directory", directory);
    }
  }
  const auto names = io::list_directory(directory);
  for (const std::string& name : names) {
    if (io::is_directory(io::join(directory, name))) {
      fail(Errc::usage, "{}: there is a directory {} in it, which would be lost: name another place, or remove it yourself", directory, printable(name));
    }
  }
  if (names.empty() || io::exists(io::join(directory, "config.json")) || io::exists(io::join(directory, "adapter_config.json"))) return;
  fail(Errc::usage, "{}: there are files here, but no config.json: this is no model directory and is not replaced", directory);
}

/// Cuts the list of tensors into files of at most `limit` bytes; one file needs no index.
inline std::vector<std::vector<TensorSpec>> into_shards(const std::vector<TensorSpec>& specs, std::uint64_t limit) {
  std::vector<std::vector<TensorSpec>> shards(1);
  std::uint64_t have = 0;
  for (const TensorSpec& spec : specs) {
    std::uint64_t bytes = std::uint64_t(bits_of(spec.dtype)) / 8;
    for (const Index extent : spec.shape) bytes *= std::uint64_t(extent);
    if (have > 0 && have + bytes > limit) shards.emplace_back(), have = 0;
    shards.back().push_back(spec), have += bytes;
  }
  return shards;
}

inline std::string shard_name(std::size_t i, std::size_t count) {
  if (count == 1) return "model.safetensors";
  const auto digits = [](std::size_t n) {
    const std::string text = std::to_string(n);
    return std::string(text.size() < 5 ? 5 - text.size() : 0, '0') + text;
  };
  return "model-" + digits(i + 1) + "-of-" + digits(count) + ".safetensors";
}

template <class Model>
void write_weights(const TensorWriter<Model>& writer, const io::StagedDirectory& out, std::uint64_t shard_bytes, SaveReport& report) {
  const auto shards = into_shards(writer.specs(), shard_bytes);
  json::Value map = json::Value::object();
  std::vector<std::pair<std::string, std::string>> where;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    report.weights.push_back(shard_name(i, shards.size()));
    write_safetensors(out / report.weights.back(), shards[i], {{"format", "pt"}}, [&](const TensorInfo& info, auto& sink) {
      writer.write(info, sink);
      report.parameters += info.elements(), report.bytes += info.bytes;
      where.emplace_back(info.name, report.weights.back());
    });
  }
  if (shards.size() == 1) return;
  std::sort(where.begin(), where.end());
  for (auto& [name, file] : where) map.set(name, file);
  json::write_file(out / "model.safetensors.index.json",
                   json::Value::object({{"metadata", json::Value::object({{"total_parameters", report.parameters}, {"total_size", report.bytes}})},
                                        {"weight_map", map}}));
}

}  // namespace detail

/// Writes a directory that AutoModelForCausalLM.from_pretrained(directory) loads, whole or not at all. What is written is
/// what the model computes: adapters are merged and masked units left out on the way, without touching the model. A
/// pruned model gets its espalier_plan.json; unknown keys of config.json and tokenizer files come along unchanged.
template <class Model>
SaveReport save(Model& model, const std::string& directory, const SaveOptions& options = {}) {
  if (options.dtype && bits_of(*options.dtype) != 16 && *options.dtype != Dtype::f32 && *options.dtype != Dtype::f64) {
    fail(Errc::unsupported, "{} is no type for weights: F32, BF16, F16 and F64 are", name_of(*options.dtype));
  }
  detail::check_output(directory, options.overwrite, model.source);
  if (!options.merge) {
    for_each_projection(model, [&](const std::string& path, auto& p) {
      if constexpr (requires { p.adapter.merged; }) {
        require(!p.adapter.merged, "{}: the adapter of {} is merged into its weight, which cannot be written without it; "
                "unmerge the model first", directory, path);
      }
      require(!p.weight_mask, "{}: a mask makes single weights of {} zero together with what an adapter adds, which a file "
              "without the adapter cannot say; save with merge", directory, path);
    });
  }
  CutPlan cut(model);
  if (!options.merge) detail::require_written_apart(model, cut, directory);
  SaveReport report;
  report.directory = directory;
  using Config = typename Model::Config;
  const Dtype native = dtype_of<typename Model::W>;
  const Dtype stated = options.dtype ? *options.dtype : model.source.dtype_of(StoredModel<Config>::kEmbedding).value_or(native);
  const json::Value stock = stock_config(model.source.config);
  const Outline<Config> outline = outline_of(model.config, cut, options.layout, stock, stated, directory);
  const Config& config = outline.config;
  report.layout = outline.layout, report.model_type = outline.model_type;
  report.heads = config.heads, report.groups = config.groups, report.feed_forward = config.feed_forward;
  if constexpr (requires { config.widths; })
    if (report.layout == Layout::compact) report.widest(config.widths);
  if (const std::string was = stock.text("model_type", report.model_type); was != report.model_type) {
    report.notes.push_back(format("model_type {} instead of {}: {} heads do not divide hidden_size {}, which transformers 5 "
                                  "refuses for {}; the function is the same", report.model_type, was, config.heads, config.hidden, was));
  }

  auto cuts = cut.cuts(model);
  detail::scale_normed(model, config, cuts);
  const TensorWriter<Model> writer(model, cut, std::move(cuts), options.merge, [&](const std::string& name) {
    return options.dtype ? *options.dtype : model.source.dtype_of(name).value_or(native);
  });
  std::string modeling;
  if constexpr (requires { config.widths; }) {
    if (report.layout == Layout::compact) {
      modeling = compact_modeling(report.model_type);
      report.notes.push_back(format("the layers have shapes of their own: load it with AutoModelForCausalLM.from_pretrained(directory, "
                                    "trust_remote_code=True), which runs its {}", compact_modeling_file));
    }
  }
  io::StagedDirectory out(directory, options.overwrite);
  detail::write_weights(writer, out, options.shard_bytes, report);
  json::write_file(out / "config.json", outline.object);
  if (!modeling.empty()) io::write_file_atomically(out / compact_modeling_file, std::string_view(modeling));
  for (const std::string& name : model.source.companions()) {
    const std::string from = io::resolve_inside(model.source.directory, name);
    io::write_file_atomically(out / name, io::read_file(from, std::uint64_t{1} << 31));
  }
  PlanFile plan;
  plan.plan = plan_of(model, options.plan), plan.source = io::base_name(model.source.directory), plan.layout = name_of(report.layout);
  report.pruned = is_pruned(plan.plan);
  if (report.pruned) {
    plan.sha256 = model.source.sha256();
    plan.write(out / plan_file_name);
  } else if (model.source && io::exists(io::join(model.source.directory, plan_file_name))) {  // pruned before it came here
    PlanFile::read(io::resolve_inside(model.source.directory, plan_file_name)).write(out / plan_file_name);
  }
  out.commit();
  return report;
}

}  // namespace espalier::inline v0
