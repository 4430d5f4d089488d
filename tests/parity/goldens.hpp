// SPDX-License-Identifier: MIT
#pragma once
// What others have computed: transformers and peft of checkpoints that they wrote, which also go out and come back; and the
// oracle of the adapter behind the weight.
#include <espalier/io/json_file.hpp>
#include <espalier/model/bert_files.hpp>
#include <espalier/model/gpt2_files.hpp>
#include <espalier/model/peft.hpp>
#include <espalier/model/save.hpp>

#include "parity/small_models.hpp"
#include "parity/whole.hpp"
#include "support/golden.hpp"
#include "support/single.hpp"
#include "support/temporary_directory.hpp"

namespace espalier::test::parity {

/// The base as it was loaded, and then with its adapter: logits, loss, and every gradient by itself.
template <class Model, class Case>
void hold_against(const Case& golden, Outputs& out, Model& model) {
  const auto batch = golden.batch();
  const auto first = [&](const char* name) { return std::vector<double>{golden.numbers(name)[0]}; };
  out.agree("logits", logits_of(model, batch), golden.numbers("logits64"));
  out.agree("loss", {double(model.evaluate(batch))}, first("loss64"));
  load_adapter(model, golden.directory + "/adapter");
  out.agree("logits with the adapter", logits_of(model, batch), golden.numbers("logits_adapter64"));
  out.agree("loss with the adapter", {double(model.loss(batch))}, first("loss_adapter64"));
  std::size_t compared = 0;
  for_each_parameter(model, [&](const std::string& path, auto& p) {
    out.agree("gradient of " + path, fetch(model.device(), p.grad.data, p.size()), golden.numbers("grad.base_model.model." + path));
    ++compared;
  });
  out.holds("gradients are all that the adapter has",
            compared == SafetensorsFile(golden.directory + "/adapter/adapter_model.safetensors").tensors().size());
}

/// Base and adapter apart, and what is left behind masks as one.
template <class Model, class Case>
void go_out_and_come_back(const Case& golden, Outputs& out, Model& model) {
  const TemporaryDirectory folder;
  const auto batch = golden.batch();
  auto& device = model.device();
  {
    save(model, folder / "base", {.dtype = Dtype::f64, .merge = false});
    save_adapter(model, folder / "adapter", {.base = folder / "base"});
    Model loaded = load<Model>(device, folder / "base");
    load_adapter(loaded, folder / "adapter");
    out.agree("base and adapter, loaded", logits_of(loaded, batch), logits_of(model, batch), Match::exact);
  }
  const auto whole = logits_of(model, batch);
  mask_every(model, 3);
  const auto masked = logits_of(model, batch);
  out.holds("masks change the logits", masked != whole);
  save(model, folder / "merged", {.dtype = Dtype::f64});
  Model merged = load<Model>(device, folder / "merged", {.targets = {"nothing"}});
  out.agree("merged behind masks, loaded", logits_of(merged, batch), masked);
}

template <class Model, class Case>
void golden_case(Judge& judge, const std::string& name) {
  using Device = typename Model::DeviceType;
  run_case<Device>(judge, "goldens/" + name, [&](Device& device, Thrice& thrice) {
    const Case golden(name);
    thrice([&](Outputs& out) {
      auto model = load<Model>(device, golden.directory, {.rank = 1});
      hold_against(golden, out, model);
      go_out_and_come_back(golden, out, model);
    });
  });
}

inline std::vector<double> numbers_in(const json::Value& x) {
  if (!x.is_array()) return {x.as_double()};
  std::vector<double> all;
  for (const json::Value& part : x.elements())
    for (const double v : numbers_in(part)) all.push_back(v);
  return all;
}

/// Loss, gradients, scores of rows and of columns, and what it is when merged.
template <class Device>
void oracle_of_sequential(Judge& judge) {
  run_case<Device>(judge, "goldens/the oracle's adapter behind the weight", [](Device& device, Thrice& thrice) {
    const json::Value file = json::read_file(ESPALIER_TEST_DATA "/oracle.json");
    const json::Value& oracle = file.at("sequential");
    const SequentialCase c;
    thrice([&](Outputs& out) {
      auto model = c.model(device, Axis::rows, 1);
      auto& p = model.projection;
      const auto loss = [&](const char* name) { out.agree(name, {model.loss(c.x, c.y)}, numbers_in(oracle.at("loss"))); };
      loss("loss");
      out.agree("gradient of A", fetch(device, p.adapter.a.grad.data, p.adapter.a.size()), numbers_in(oracle.at("grad_A")));
      out.agree("gradient of B", fetch(device, p.adapter.b.grad.data, p.adapter.b.size()), numbers_in(oracle.at("grad_B")));
      const json::Value& scores = oracle.at("groups_seq_sq");
      out.agree("scores of rows", unit_scores(model, TaylorImportance{}), numbers_in(scores.at("rows")));
      auto columns = c.model(device, Axis::columns, 1);
      columns.loss(c.x, c.y);
      out.agree("scores of columns", unit_scores(columns, TaylorImportance{}), numbers_in(scores.at("cols")));
      merge(model);
      out.agree("merged weight", fetch(device, p.weight.view().data, p.weight.size()), numbers_in(oracle.at("W_merged")));
      out.agree("merged bias", fetch(device, p.bias.view().data, p.bias.size()), numbers_in(oracle.at("b_merged")));
      loss("loss, merged");
    });
  });
}

/// Where numbers are doubles, as theirs are. Files are for devices with memory of their own: tests of models read them on
/// the CPU.
template <class Device>
void goldens(Judge& judge) {
  if constexpr (precision_of<Device> == Precision::fp64) {
    oracle_of_sequential<Device>(judge);
    if constexpr (requires { typename Device::System; }) {
      golden_case<Gpt2<Device, LowRankAdapter>, Golden>(judge, "gpt2");
      golden_case<BertForSequenceClassification<Device, LowRankAdapter>, TextGolden>(judge, "bert-classes");
    }
  }
}

}  // namespace espalier::test::parity
