// SPDX-License-Identifier: MIT
// What criteria say of whole units of a real checkpoint: numpy adds them up, from transformers' gradients and inputs.
#include <doctest/doctest.h>

#include <espalier/prune/importance/full_taylor.hpp>
#include <espalier/prune/importance/magnitude.hpp>
#include <espalier/prune/importance/movement.hpp>
#include <espalier/prune/importance/obs.hpp>
#include <espalier/prune/importance/signed_taylor.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/importance/wanda.hpp>
#include <fstream>

#include "compiled_files.hpp"
#include "foreign_json.hpp"
#include "golden.hpp"
#include "scores.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

using Model = CpuLlama<double>;

struct Checkpoint {
  Golden golden{"llama-gqa"};
  Cpu<double> device;
  Model model = espalier::load<Model>(device, golden.directory);
  /// tests/data/units.json, made by tests/python/make_unit_golden.py.
  nlohmann::json units = nlohmann::json::parse(std::ifstream(ESPALIER_TEST_DATA "/units.json"));

  Checkpoint() { load_adapter(model, golden.directory + "/adapter"); }

  template <class Score>
  void check(const Score& importance, const char* name) {
    CAPTURE(name);
    for (const Normalise normalise : {Normalise::none, Normalise::alive}) {
      const auto& want = units.at(name).at(normalise == Normalise::none ? "sums" : "normalised");
      for (Index i = 0; i < model.run.arena.size(); ++i) model.run.arena.grad()[i] = 0;
      const auto got = group_scores(model, importance, normalise, [&] { model.loss(golden.batch()); });
      REQUIRE(got.size() == want.size());
      std::size_t n = 0;
      model.groups([&](auto group) {
        CAPTURE(group.name());
        CHECK(want[n].at("kind") == group.kind);
        CHECK(want[n].at("layer") == group.layer);
        CHECK(relative_gap(got[n], want[n].at("scores").template get<std::vector<double>>()) < 1e-10);
        ++n;
      });
    }
  }
};

}  // namespace

TEST_CASE("key-value groups and channels of a real checkpoint score what numpy makes of torch's gradients, weights and inputs") {
  Checkpoint c;
  c.check(TaylorImportance{}, "lora");
  c.check(TaylorImportance{.power = Power::abs}, "lora_abs");
  c.check(FullTaylorImportance{}, "full");
  c.check(FullTaylorImportance{.power = Power::abs}, "full_abs");
  c.check(SignedTaylorImportance{}, "signed");
  c.check(MovementImportance{}, "movement");
  c.check(MagnitudeImportance{}, "magnitude");
  c.check(WandaImportance{}, "wanda");
  c.check(WandaImportance{.mean = false}, "wanda_norm");
  c.check(OBSImportance{}, "obs");
}
