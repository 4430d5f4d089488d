// SPDX-License-Identifier: MIT
#pragma once
// How a kind of model meets a file of data: one specialisation for models of language, one for encoders.
#include <algorithm>
#include <espalier/model/example_options.hpp>
#include <espalier/model/load.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/evaluate_examples.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "data.hpp"
#include "data_set.hpp"
#include "engine.hpp"
#include "model_of.hpp"
#include "task.hpp"
#include "trouble.hpp"

namespace espalier::tool {

template <class Model>
struct Reading;

template <class Device, template <class> class Adapter, class Family>
struct Reading<LanguageModel<Device, Adapter, Family>> {
  using Model = LanguageModel<Device, Adapter, Family>;
  static constexpr const char* kClass = "AutoModelForCausalLM";

  static Model load(Device& device, const std::string& directory, const typename Model::AdapterOptions& options, std::uint64_t seed, const TaskRequest& task) {
    if (task.name != "auto" || task.new_head)
      throw Trouble{Errc::usage, std::string(task.new_head ? "--new-head" : "--task") + " says nothing to a model of language", directory,
                    "it is for encoders: leave it away"};
    return espalier::load<Model>(device, directory, options, seed);
  }
  static DataSet read(const Model& model, const std::string& path, Index, const DocumentRequest& documents) {
    return in_documents(read_tokens(path, model.source.directory), documents, model.source.config);
  }
  static void check(const Model& model, const DataSet& data) { data.as<TokenFile>().check(model.config.vocab); }
  static Batches batches(const DataSet& data, const BatchOptions& o) { return data.as<TokenFile>().batches(o); }
  static Epoch epoch(const Batches& batches) { return {batches.windows(), batches.fed()}; }
  static Evaluation evaluate(Model& model, const DataSet& data, const EvaluateOptions& o) {
    return espalier::evaluate(model, data.as<TokenFile>(), o);
  }
  static void recompute(Model& model, bool on) { model.recompute = on; }
  /// One forward run over a sequence of so many tokens: the first of the data, repeated if there are fewer.
  static void once(Model& model, const DataSet* data, Index length) {
    std::vector<int> tokens(std::size_t(length), 0);
    const std::vector<int> nothing(std::size_t(length), kIgnore);
    if (data != nullptr) tokens = sample(data->as<TokenFile>().tokens(), length);
    static_cast<void>(double(model.evaluate({tokens, nothing, {1, length}, 1.0})));
  }
};

template <class Device, template <class> class Adapter, class Family>
struct Reading<EncoderModel<Device, Adapter, Family>> {
  using Model = EncoderModel<Device, Adapter, Family>;
  using Batch = typename Model::Batch;
  static constexpr bool kLabelled = requires(Model& m) { m.head.options; };
  static constexpr bool kImages = std::is_same_v<Batch, ImageBatch>;
  using Set = std::conditional_t<kImages, ImageSet, std::conditional_t<kLabelled, TextSet, MaskedSet>>;
  static constexpr const char* kClass = kImages ? "AutoModelForImageClassification" : kLabelled ? "AutoModelForSequenceClassification" : "AutoModelForMaskedLM";

  static Model load(Device& device, const std::string& directory, const typename Model::AdapterOptions& options, std::uint64_t seed, const TaskRequest& task) {
    if constexpr (kLabelled) {
      using Config = typename Model::Config;
      const ModelFiles<Config> files(directory, [&](Config& c) { c.labels.new_head = task.new_head; });
      const bool there = files.source.fresh.empty();
      if (const auto labels = new_labels(directory, task, files.config.labels, there)) {
        auto model = espalier::load<Model>(device, directory, options, seed, labels->options);
        if (!labels->names.empty()) name_labels(model.source.config, labels->names);
        return model;
      }
    } else if (task.new_head) {
      throw Trouble{Errc::usage, "--new-head draws a classifier, and a model of hidden tokens has none", directory,
                    "say --task classification or regression with it, or leave it away"};
    }
    return espalier::load<Model>(device, directory, options, seed);
  }
  static DataSet read(const Model& model, const std::string& path, Index length, const DocumentRequest& documents) {
    if (documents.packed || documents.end >= 0) {
      throw Trouble{Errc::usage, "documents share sequences in models of language; an example of an encoder has one of its own",
                    documents.packed ? "--packing" : "--document-end", "leave it away"};
    }
    try {
      if constexpr (kImages) {
        return read_image_data(path, image_options(model));
      } else {
        TextOptions o;
        o.length = length;
        return read_text_data(path, model.source.directory, text_options(model, o), kLabelled);
      }
    } catch (const Error& error) {
      if constexpr (kLabelled)
        if (has_other_labels(path, label_rules(model)))
          throw Trouble{error.code(), error.what(), "", "a head for other labels is a new one: train, prune and compare draw it with --new-head"};
      throw;
    }
  }
  static void check(const Model& model, const DataSet& data) { data.as<Examples<Set>>().check(model.config); }
  static ExampleBatches<Set> batches(const DataSet& data, const BatchOptions& o) {
    return data.as<Examples<Set>>().batches({.size = o.size, .steps = o.steps, .seed = o.seed, .shuffle = o.shuffle, .accumulate = o.accumulate});
  }
  static Epoch epoch(const ExampleBatches<Set>& batches) { return {batches.set().size(), 0}; }
  static Evaluation evaluate(Model& model, const DataSet& data, const EvaluateOptions& o) {
    return espalier::evaluate(model, data.as<Examples<Set>>(), {.size = o.size, .at_most = o.at_most});
  }
  static void recompute(Model& model, bool on) { model.stem.blocks.recompute = on; }
  /// One forward run over an image, or a sequence of so many tokens.
  static void once(Model& model, const DataSet* data, Index length) {
    if constexpr (kImages) {
      const auto& g = model.config.grid;
      const std::vector<float> pixels(std::size_t(g.channels * g.height * g.width), 0.5f);
      static_cast<void>(model.logits({.pixels = pixels, .batch = 1, .channels = g.channels, .height = g.height, .width = g.width}));
    } else {
      if constexpr (requires { Model::Stem::longest(model.config); }) length = std::min(length, Model::Stem::longest(model.config));
      const int filler = model.config.pad == 0 ? 1 : 0;  // any word but padding
      const std::vector<int> tokens(std::size_t(length), model.config.vocab > 1 ? filler : 0);
      static_cast<void>(data);
      if constexpr (kLabelled) {
        static_cast<void>(model.logits({.tokens = tokens, .shape = {1, length}}));
      } else {
        const std::vector<int> nothing(std::size_t(length), kIgnore);
        static_cast<void>(double(model.evaluate({.tokens = tokens, .labels = {.classes = nothing}, .shape = {1, length}, .weight = 1})));
      }
    }
  }
};

}  // namespace espalier::tool
