// SPDX-License-Identifier: MIT
// The state of a model that units have left, put into the model that it began as, and state that nobody took.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <functional>

#include "support/compiled_training.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Numbers = TrainingState::Numbers;
using Change = std::function<void(TrainingState&)>;

/// Channels 3, 7, 11, … and one group of heads of the second layer are gone; numbers are drawn, so that a zero is not
/// taken for a state.
struct Cut {
  Cpu<float> device;
  Tiny model{device};
  AdamW<Tiny> optimizer{model};
  NoPruner none;

  Cut() {
    model.groups([&](auto group) {
      std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
      for (std::size_t u = 3; u < alive.size(); u += 4) alive[u] = 0;
      if (group.kind == "heads" && group.layer == 1) alive[0] = 0;
      group.mask->set(device, alive);
    });
    compact(model);
    auto& arena = model.run.arena;
    fill(arena.value(), arena.size(), 3), fill(arena.moment(device, 0), arena.size(), 4);
    fill(arena.moment(device, 1), arena.size(), 5);
    model.groups([&](auto group) {  // and one more is masked
      std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
      if (group.kind == "channels") alive[5] = 0;
      group.mask->set(device, alive);
    });
  }
};

/// Numbers alone: what lies between two parameters of the arena is nobody's.
std::vector<double> everything(Tiny& model) {
  std::vector<double> all;
  for_each_parameter(model, [&](const std::string&, auto& p) {
    for (const float* x : {p.value.data, model.run.arena.moment(*model.run.device, 0) + p.offset,
                           model.run.arena.moment(*model.run.device, 1) + p.offset})
      all.insert(all.end(), x, x + p.size());
  });
  for_each_tensor(model, [&](const std::string&, auto& t) { all.insert(all.end(), t.view().data, t.view().data + t.size()); });
  model.groups([&](auto group) {
    all.insert(all.end(), group.mask->alive().begin(), group.mask->alive().end());
    all.insert(all.end(), group.mask->origin().begin(), group.mask->origin().end());
  });
  return all;
}

const std::string kOrigin = "mask/layer 0 channels/origin", kMask = "mask/layer 0 channels";

Numbers of(std::vector<std::int32_t> origin) {
  const Index n = Index(origin.size());
  return Numbers::of(origin, {n});
}

}  // namespace

TEST_CASE("The state of a compacted model cuts the dense one, and a model that was cut the same way stays as it is") {
  Cut cut;
  const TrainingState state = take_state(cut.model, cut.none);
  Cpu<float> device;
  Tiny dense(device, {.rank = 4}, 5);
  AdamW<Tiny> optimizer(dense);
  const Index before = count_parameters(dense);
  put_state(state, dense, cut.none);
  CHECK(count_parameters(dense) < before);
  CHECK(count_parameters(dense) == count_parameters(cut.model));
  CHECK(everything(dense) == everything(cut.model));
  const Index bytes = dense.run.workspace.peak();
  put_state(state, dense, cut.none);
  CHECK(everything(dense) == everything(cut.model));
  CHECK(dense.run.workspace.peak() == bytes);
}

TEST_CASE("Masks on single weights are cut along") {
  Cpu<float> device;
  NoPruner none;
  const auto with_weights = [&](Tiny& model) {
    for (auto& block : model.blocks()) {
      block.mlp.up_proj.allow_weight_mask(device, "up_proj"), block.mlp.down_proj.allow_weight_mask(device, "down_proj");
    }
  };
  Tiny cut(device), dense(device, {.rank = 4}, 5);
  with_weights(cut), with_weights(dense);
  for (auto& block : cut.blocks()) {
    for (auto* mask : {&block.mlp.up_proj.weight_mask, &block.mlp.down_proj.weight_mask}) {
      auto words = mask->words(device);
      for (std::size_t i = 0; i < words.size(); ++i) words[i] = 0x9E3779B9u * std::uint32_t(i + 1);
      mask->set(device, words);
    }
    std::vector<std::uint8_t> alive(40, 1);
    for (std::size_t u = 0; u < 30; ++u) alive[u] = u % 2 == 0;
    block.mlp.units.set(device, alive);
  }
  compact(cut);
  put_state(take_state(cut, none), dense, none);
  CHECK(everything(dense) == everything(cut));
  for (std::size_t l = 0; l < 2; ++l) {
    const auto &a = cut.blocks()[l].mlp, &b = dense.blocks()[l].mlp;
    CHECK(a.down_proj.weight_mask.bits().cols() == 1);
    CHECK(a.down_proj.weight_mask.words(device) == b.down_proj.weight_mask.words(device));
    CHECK(a.up_proj.weight_mask.words(device) == b.up_proj.weight_mask.words(device));
    CHECK(a.up_proj.weight_mask.removed() > 0);
  }
}

TEST_CASE("A model that has lost more than the checkpoint cannot take it up") {
  Cut cut;
  const TrainingState state = take_state(cut.model, cut.none);
  compact(cut.model);
  const auto before = everything(cut.model);
  CHECK_THROWS_WITH_AS(put_state(state, cut.model, cut.none), doctest::Contains("which has left this model"), Error);
  CHECK(everything(cut.model) == before);
}

TEST_CASE("State that nobody took is refused with its name, and nothing is changed") {
  Cut cut;
  const TrainingState good = take_state(cut.model, cut.none);
  const auto origin = good.numbers.at(kOrigin).as<std::int32_t>();
  Cpu<float> device;
  Tiny dense(device);
  AdamW<Tiny> optimizer(dense);
  const auto before = everything(dense);
  const auto refused = [&](const Change& change, Errc code, const std::string& why) {
    TrainingState state = good;
    change(state);
    CAPTURE(why);
    try {
      put_state(state, dense, cut.none);
      FAIL_CHECK("it was taken");
    } catch (const Error& error) {
      CHECK(error.code() == code);
      CHECK_MESSAGE(std::string(error.what()).find(why) != std::string::npos, error.what());
    }
    CHECK(everything(dense) == before);
  };
  const auto with_origin = [&](auto edit) {
    return [&origin, edit](TrainingState& s) {
      auto list = origin;
      edit(list);
      s.numbers.at(kOrigin) = of(list);
    };
  };
  const Errc bad = Errc::bad_input, other = Errc::usage;
  refused(with_origin([](auto& o) { o.back() = 40; }), bad, "names unit 40 of 40");
  refused(with_origin([](auto& o) { o.back() = 2147483647; }), bad, "names unit 2147483647 of 40");
  refused(with_origin([](auto& o) { o.front() = -1; }), bad, "names unit -1 of 40");
  refused(with_origin([](auto& o) { std::swap(o[4], o[5]); }), bad, "after unit");
  refused(with_origin([](auto& o) { o[4] = o[3]; }), bad, "names unit 4 after unit 4");
  refused(with_origin([](auto& o) { o.pop_back(); }), other, "another type or shape");
  refused(with_origin([](auto& o) { o.clear(); }), bad, "keeps no unit");
  refused([](TrainingState& s) { s.numbers.erase(kOrigin); }, other, kOrigin);
  refused([](TrainingState& s) { s.numbers.erase(kMask); }, other, kMask);
  refused([](TrainingState& s) { s.numbers.at(kOrigin).dtype = Dtype::f32; }, other, "another type or shape");
  refused([](TrainingState& s) { s.numbers.at(kOrigin).shape = {6, 5}; }, other, "another type or shape");
  refused([](TrainingState& s) { s.numbers.at(kMask).bytes[0] = std::byte{7}; }, bad, "says 7 of a unit");
  // Fewer units, consistently, than the adapters have rows for.
  refused(
      [&](TrainingState& s) {
        auto list = origin;
        list.pop_back();
        s.numbers.at(kOrigin) = of(list);
        s.numbers.at(kMask) = Numbers::of(std::vector<std::uint8_t>(list.size(), 2), {Index(list.size())});
      },
      other, "another type or shape");
  refused([](TrainingState& s) { s.numbers.emplace("mask/layer 9 heads", of({1})); }, other, "pieces of state");
  CHECK_NOTHROW(put_state(good, dense, cut.none));
}
