// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/gguf_architecture.hpp>
#include <espalier/model/gguf_tokenizer.hpp>
#include <espalier/model/save.hpp>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace espalier::inline v0 {

struct SaveGgufOptions {
  Layout layout = Layout::automatic;  ///< compact where layers differ and an architecture knows that, else padded
  std::optional<Dtype> dtype = {};    ///< of weights: F32, F16 or BF16; by default each as it was loaded. Norms and biases are F32
  bool overwrite = false;             ///< replace a GGUF file that is already there
};

namespace detail {

inline void check_gguf_output(const std::string& path, bool overwrite) {
  if (io::base_name(path).empty() || io::is_directory(path)) fail(Errc::usage, "{}: a GGUF is one file: name it, e.g. model.gguf", path);
  if (!io::exists(path)) return;
  if (!overwrite) fail(Errc::usage, "{} exists already: choose another name, or allow to overwrite it", path);
  const io::File file(path);
  std::array<std::byte, 4> magic{};
  if (file.size() >= magic.size()) file.read_at(0, magic);
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) fail(Errc::usage, "{}: this is no GGUF file and is not replaced", path);
}

/// Row 2j + s of a head is its row j + s d/2: reshape(heads, 2, d/2) → swap → (heads, d/2, 2).
inline void interleave(CutSide& rows, Index height, Index head_dim) {
  if (rows.whole) {
    rows.whole = false;
    for (Index i = 0; i < height; ++i) rows.from.push_back(i);
  }
  rows.block = head_dim;
  const std::vector<Index> old = rows.from;
  for (std::size_t head = 0; head < old.size(); head += std::size_t(head_dim)) {
    for (std::size_t j = 0; j < std::size_t(head_dim / 2); ++j)
      for (std::size_t s = 0; s < 2; ++s) rows.from[head + 2 * j + s] = old[head + j + s * std::size_t(head_dim / 2)];
  }
}

inline Layout gguf_layout(const LlamaConfig& c, const CutPlan& cut, Layout asked) {
  if (asked != Layout::automatic) return asked;
  if (cut.uniform()) return Layout::uniform;
  return c.qk_norm || c.qkv_bias || c.out_bias || c.feed_forward_bias ? Layout::padded : Layout::compact;
}

inline bool all_alike(const LlamaConfig& c) {
  for (Index l = 1; l < c.layers; ++l) {
    const LayerWidths a = c.layer(0), b = c.layer(l);
    if (a.heads != b.heads || a.groups != b.groups || a.feed_forward != b.feed_forward) return false;
  }
  return true;
}

}  // namespace detail

/// Writes one file for llama.cpp, whole or not at all. What is written is what the model computes: adapters are merged and
/// masked units left out on the way, without touching the model.
///
///     save_gguf(model, "small.gguf", {.dtype = Dtype::f16});
template <class Model>
SaveReport save_gguf(Model& model, const std::string& path, const SaveGgufOptions& options = {}) {
  if constexpr (!std::is_same_v<typename Model::Config, LlamaConfig>) {
    fail(Errc::unsupported, "{}: GGUF is written for the Llama family (llama, mistral, qwen2, qwen3); save as safetensors", path);
  } else {
    using Scaling = RotaryOptions::Scaling;
    if (options.dtype) detail::gguf_number(*options.dtype, "of this model");
    detail::check_gguf_output(path, options.overwrite);
    CutPlan cut(model);
    SaveReport report;
    report.directory = path, report.layout = detail::gguf_layout(model.config, cut, options.layout);
    if (report.layout == Layout::uniform && !cut.uniform()) {
      fail(Errc::usage, "{}: layout uniform needs layers of one shape, but {}\n  hint: layout compact keeps them, layout padded fills up "
           "with zeros", path, cut.differences());
    }
    LlamaConfig c = model.config;
    if (report.layout == Layout::compact) {
      detail::narrow(c, cut, Layout::compact, path);
    } else {  // the number of heads need not divide anything here: nothing but the width is filled up
      detail::shrink(c, cut);
      const auto [heads, groups] = cut.heads(c);
      c.heads = heads, c.groups = groups, c.feed_forward = cut.width("channels");
      c.widths.clear();
    }
    const bool alike = detail::all_alike(c);
    const GgufArchitecture architecture = gguf_architecture(c, alike);
    report.model_type = architecture.name;
    report.heads = c.heads, report.groups = c.groups, report.feed_forward = c.feed_forward;
    if (report.layout == Layout::compact) report.widest(c.widths);
    if (c.qkv_bias && report.heads * c.head_dim != c.hidden) {
      fail(Errc::unsupported, "{}: {} heads of {} are not hidden_size {}, and architecture {} of GGUF has biases on q only where they are\n"
           "  hint: save as safetensors, or prune channels only", path, report.heads, c.head_dim, c.hidden, architecture.name);
    }

    const auto stored = [&](const std::string& name) {
      if (options.dtype) return *options.dtype;
      const Dtype was = model.source.dtype_of(name).value_or(dtype_of<typename Model::W>);
      return was == Dtype::f64 ? Dtype::f32 : was;
    };
    auto cuts = cut.cuts(model);
    detail::scale_normed(model, c, cuts);
    if (architecture.interleaved) {
      for_each_projection(model, [&](const std::string& name, auto& p) {
        if (name.ends_with(".q_proj") || name.ends_with(".k_proj")) detail::interleave(cuts[&p].rows, p.out(), c.head_dim);
      });
    }
    const TensorWriter<Model> writer(model, cut, std::move(cuts), /*merge=*/true, stored);

    std::vector<TensorSpec> specs;
    std::vector<std::string> names;  // in the model; empty: rope_freqs
    const auto add = [&](const std::string& name, TensorSpec spec) { names.push_back(name), specs.push_back(std::move(spec)); };
    if (c.rotary.scaling == Scaling::llama3) add("", {"rope_freqs.weight", Dtype::f32, {c.head_dim / 2}});
    for (const TensorSpec& spec : writer.specs())
      add(spec.name, {gguf_name(spec.name), spec.shape.size() == 1 ? Dtype::f32 : spec.dtype, spec.shape});

    const Dtype main = stored("model.embed_tokens.weight");
    GgufMetadata about;
    about.set("general.architecture", architecture.name);
    about.set("general.type", "model");
    about.set("general.name", model.source ? io::base_name(io::resolve(model.source.directory)) : io::base_name(path));
    about.set("general.file_type", std::uint32_t(main == Dtype::f32 ? 0 : main == Dtype::f16 ? 1 : 32));
    describe_gguf(about, architecture.name, c, alike);
    describe_gguf_tokenizer(about, model.source, c.vocab, report.notes);
    if (c.longest > 0 && c.longest < c.max_positions) {
      report.notes.push_back(format("the sliding window of {} is not written: context_length is {}, which it does not touch", c.longest, c.longest));
    }
    std::size_t next = 0;
    write_gguf(path, about, specs, [&](const TensorInfo& info, auto& sink) {
      const std::string& name = names[next++];
      report.parameters += name.empty() ? 0 : info.elements(), report.bytes += info.bytes;
      if (name.empty()) return sink.write_numbers(std::span<const float>(gguf_rope_factors(c)), info.dtype);
      TensorInfo inside = info;
      inside.name = name;
      writer.write(inside, sink);
    });
    report.weights = {io::base_name(path)};
    return report;
  }
}

}  // namespace espalier::inline v0
