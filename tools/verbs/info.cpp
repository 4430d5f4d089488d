// SPDX-License-Identifier: MIT
#include <algorithm>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/data/tokenizer/tokenizer_file.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/model/encoder_families.hpp>
#include <espalier/model/load.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/plan_file.hpp>
#include <map>

#include "../comparison.hpp"
#include "../count_facts.hpp"
#include "../data.hpp"
#include "../joined.hpp"
#include "../model_of.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {
namespace {

/// What info says: names and values, in order.
struct Sheet {
  json::Value json = json::Value::object();
  Table table;

  void add(const std::string& key, json::Value value, std::string shown = "") {
    if (shown.empty())
      shown = value.is_string() ? value.as_string() : value.is_integer() ? with_commas(value.as_index()) : value.dump();
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', ' ');
    table.rows.push_back({name, shown});
    json.set(key, std::move(value));
  }
};

std::string shape_text(const std::vector<Index>& shape) {
  std::string out = "[";
  for (const Index n : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(n);
  return out + "]";
}

json::Value tensors_json(const std::vector<TensorInfo>& tensors) {
  json::Value all = json::Value::array();
  for (const TensorInfo& t : tensors)
    all.push_back(
        json::Value::object({{"name", t.name}, {"dtype", std::string(name_of(t.dtype))}, {"shape", t.shape}}));
  return all;
}

std::string dtypes_text(const std::vector<TensorInfo>& tensors) {
  std::map<std::string, Index> count;
  for (const TensorInfo& t : tensors) count[std::string(name_of(t.dtype))] += t.elements();
  std::string out;
  for (const auto& [name, n] : count) out += (out.empty() ? "" : ", ") + name + " (" + brief(double(n)) + " numbers)";
  return out;
}

/// Bytes that a training step of a model takes beside its weights: adapters four times, and what backward reads.
template <class Config>
double activation_bytes(const Config& c, double tokens) {
  const double a_block = double(6 * c.hidden + 2 * (c.heads + 2 * c.groups) * c.head_dim + 4 * c.feed_forward);
  return 4 * tokens * (double(c.layers) * a_block + double(4 * c.hidden));
}

/// "16" where all layers agree, else "12-16".
template <class Config>
std::string range_text(const Config& c, Index LayerWidths::*width) {
  Index least = c.layer(0).*width, most = least;
  for (Index l = 1; l < c.layers; ++l) least = std::min(least, c.layer(l).*width), most = std::max(most, c.layer(l).*width);
  return least == most ? with_commas(most) : with_commas(least) + "-" + with_commas(most);
}

template <class Family>
void describe_model(Sheet& sheet, const std::string& directory, std::vector<TensorInfo>& tensors) {
  const ModelFiles<typename Family::Config> files(directory);
  const auto& c = files.config;
  Meta<float> device;
  LanguageModel<Meta<float>, Frozen, Family> model(device, c);
  const Facts f = facts_of(model);
  for (const std::string& name : files.tensors.names()) tensors.push_back(files.tensors.info(name));
  sheet.add("kind", "model", "model, " + files.source.config.text("model_type", "?"));
  sheet.add("layers", c.layers);
  sheet.add("hidden", c.hidden);
  const std::string heads = range_text(c, &LayerWidths::heads), groups = range_text(c, &LayerWidths::groups);
  sheet.add("heads", c.heads, heads == groups ? heads : format("{} in {} key-value groups", heads, groups));
  sheet.json.set("groups", c.groups);
  sheet.add("head_dim", c.head_dim);
  sheet.add("feed_forward", c.feed_forward, range_text(c, &LayerWidths::feed_forward));
  if (!c.widths.empty()) sheet.json.set("layer_widths", *files.source.config.find("layer_widths"));
  const std::string tokenizer = tokenizer_file(directory);
  sheet.add("vocabulary", c.vocab,
            with_commas(c.vocab) + (!tokenizer.empty()         ? " (text goes through " + tokenizer + ")"
                                    : is_byte_level(c.vocab) ? " (bytes: raw text is read as it is)"
                                                             : ""));
  sheet.add("tied_head", c.tied, c.tied ? "yes" : "no");
  sheet.add("positions", c.max_positions);
  sheet.add("parameters", f.parameters);
  sheet.add("macs_per_token", f.macs, brief(double(f.macs)));
  sheet.add("numbers", dtypes_text(tensors));
  sheet.add("file_bytes", weight_bytes(directory), bytes_text(double(weight_bytes(directory))));
  const double tokens = 8 * 256;
  sheet.add("memory_fp32", double(f.parameters) * 4, bytes_text(double(f.parameters) * 4) + " of weights");
  sheet.add("memory_bf16", double(f.parameters) * 2, bytes_text(double(f.parameters) * 2) + " of weights");
  sheet.add("memory_of_a_step", activation_bytes(c, tokens),
            "about " + bytes_text(activation_bytes(c, tokens)) + " more for 8 x 256 tokens");
  const std::string plan = io::join(directory, std::string(plan_file_name));
  if (!io::exists(plan)) return;
  const PlanFile file = PlanFile::read(plan);
  Index full = 0, kept = 0;
  for (const PlanGroup& g : file.plan.groups) full += g.full, kept += Index(g.kept.size());
  sheet.add("pruned_from", file.source,
            file.source + format(": {} of {} units kept", with_commas(kept), with_commas(full)));
}

template <class Family>
void describe_encoder(Sheet& sheet, const std::string& directory, const TaskRequest& task, std::vector<TensorInfo>& tensors) {
  const ModelFiles<typename Family::Config> files(directory);
  require_task(task, files);
  const auto& c = files.config;
  Meta<float> device;
  ModelOf<Meta<float>, Frozen, Family> model(device, c);
  const Facts f = facts_of(model);
  for (const std::string& name : files.tensors.names()) tensors.push_back(files.tensors.info(name));
  sheet.add("kind", "model", "model, " + files.source.config.text("model_type", "?"));
  sheet.add("task", espalier::detail::predicts_tokens<Family>() ? "masked language" : shown(c.labels));
  if (!files.source.fresh.empty()) sheet.add("head", "new", "new: the files have none");
  sheet.add("layers", c.layers);
  sheet.add("hidden", c.hidden);
  sheet.add("heads", c.heads);
  sheet.add("head_dim", c.head_dim);
  sheet.add("feed_forward", c.feed_forward);
  if constexpr (requires { c.grid; }) {
    sheet.add("images", json::Value(std::vector<Index>{c.grid.channels, c.grid.height, c.grid.width}),
              format("{} x {} with {} channels, patches of {} x {}", c.grid.height, c.grid.width, c.grid.channels, c.grid.down, c.grid.across));
  } else {
    const std::string tokenizer = tokenizer_file(directory);
    sheet.add("vocabulary", c.vocab, with_commas(c.vocab) + (tokenizer.empty() ? "" : " (text goes through " + tokenizer + ")"));
    if constexpr (requires { c.max_positions; }) sheet.add("positions", c.max_positions);
  }
  sheet.add("parameters", f.parameters, with_commas(f.parameters) + (files.source.fresh.empty() ? "" : " with what is new"));
  sheet.add("macs_per_token", f.macs, brief(double(f.macs)));
  sheet.add("numbers", dtypes_text(tensors));
  sheet.add("file_bytes", weight_bytes(directory), bytes_text(double(weight_bytes(directory))));
}

void describe_adapter(Sheet& sheet, const std::string& directory, std::vector<TensorInfo>& tensors) {
  const AdapterConfig config = read_adapter_config(directory);
  const SafetensorsFile file(io::resolve_inside(directory, "adapter_model.safetensors"));
  Index parameters = 0;
  for (const TensorInfo& t : file.tensors()) tensors.push_back(t), parameters += t.elements();
  sheet.add("kind", "adapter");
  sheet.add("base", config.base);
  sheet.add("rank", config.options.rank);
  sheet.add("alpha", config.options.alpha, fixed(config.options.alpha, 3));
  sheet.add("scale", config.options.scale(), fixed(config.options.scale(), 4));
  const std::string targets = joined(config.options.targets);
  sheet.add("targets", config.options.targets, config.targets_by_file() ? "a regular expression: what the tensors name"
                                               : targets.empty()          ? "all linear maps"
                                                                          : targets);
  if (const auto labels = read_adapter_labels(directory)) {
    sheet.add("task", shown(labels->options));
    std::vector<std::string> names(labels->names.size());
    for (const auto& [name, number] : labels->names) names[std::size_t(number)] = name;
    sheet.add("labels", names, joined(names));
  }
  sheet.add("parameters", parameters);
  sheet.add("numbers", dtypes_text(tensors));
  sheet.add("file_bytes", weight_bytes(directory), bytes_text(double(weight_bytes(directory))));
}

void describe_data(Sheet& sheet, const std::string& path) {
  const TokenFile file = read_tokens(path);
  const Tokens& t = file.tokens();
  int least = t.ids.empty() ? 0 : t.ids[0], most = least;
  std::vector<bool> seen;
  for (const int id : t.ids) {
    least = std::min(least, id), most = std::max(most, id);
    if (id >= 0 && std::size_t(id) >= seen.size()) seen.resize(std::size_t(id) + 1);
    if (id >= 0) seen[std::size_t(id)] = true;
  }
  sheet.add("kind", "data", t.bytes ? "data: text, read as bytes" : "data: token ids");
  sheet.add("tokens", t.size());
  if (t.documents() > 0) sheet.add("documents", t.documents());
  sheet.add("ids", json::Value(std::vector<int>{least, most}),
            format("{} to {}, {} different", least, most, Index(std::count(seen.begin(), seen.end(), true))));
  sheet.add("sha256", t.hash());
}

}  // namespace

int info(const Request& request, const Console& console) {
  need_model(request);
  const std::string& path = request.settings.model;
  Sheet sheet;
  std::vector<TensorInfo> tensors;
  if (io::is_directory(path)) {
    const bool adapter =
        io::exists(io::join(path, "adapter_config.json")) && !io::exists(io::join(path, "config.json"));
    if (adapter) {
      describe_adapter(sheet, path, tensors);
    } else {
      with_any_family(path, task_request(request.settings), [&](auto family) {
        using Family = decltype(family);
        if constexpr (EncoderFamily<Family>) describe_encoder<Family>(sheet, path, task_request(request.settings), tensors);
        else describe_model<Family>(sheet, path, tensors);
      });
    }
  } else if (path.ends_with(".safetensors")) {
    const SafetensorsFile file(path);
    Index numbers = 0;
    for (const TensorInfo& t : file.tensors()) tensors.push_back(t), numbers += t.elements();
    sheet.add("kind", "safetensors");
    sheet.add("tensors", Index(tensors.size()));
    sheet.add("parameters", numbers);
    sheet.add("numbers", dtypes_text(tensors));
  } else {
    describe_data(sheet, path);
  }
  if (console.json()) {
    if (!tensors.empty()) sheet.json.set("tensors", tensors_json(tensors));
    console.result(sheet.json.dump(2) + "\n");
    return 0;
  }
  sheet.table.left = true;
  console.result(sheet.table.text());
  if (request.settings.verbose) {
    Table list;
    list.left = true;
    for (const TensorInfo& t : tensors) {
      const std::string name = printable(t.name);
      list.rows.push_back({name.substr(1, name.size() - 2), std::string(name_of(t.dtype)), shape_text(t.shape)});
    }
    if (!list.rows.empty()) console.result("\n" + list.text());
  }
  return 0;
}

}  // namespace espalier::tool
