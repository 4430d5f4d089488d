// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/evaluate.hpp>
#include <espalier/train/trainer.hpp>
#include <limits>
#include <set>

#include "support/compiled_training.hpp"
#include "support/temporary_directory.hpp"
#include "support/threads.hpp"
#include "support/tiny_model.hpp"
#include "support/training_log.hpp"

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;
using Log = test::TrainingLog;

namespace {

/// How large a run is. The wide one is large enough that threads share every product of its blocks.
struct Size {
  LlamaConfig shape = test::tiny_config();
  Index rank = 4, batch = 2, length = 24;
};
const Size kWide{{.vocab = 256, .hidden = 80, .layers = 1, .heads = 4, .groups = 2, .head_dim = 20, .feed_forward = 88},
                 8, 2, 104};

/// Accumulation, dropout, warm-up, clipping and pruning all at once.
struct Run {
  Device device;
  Model model;
  AdamW<Model> optimizer{model, {.decay = 0.01}};
  Pruner<Model, TaylorImportance, EMAMask, CubicSchedule> pruner;
  Trainer<Model, decltype(pruner)> trainer;
  Log log;

  explicit Run(TrainerOptions o = {}, Index steps = 60, Revival revival = Revival::none, std::uint64_t seed = 1,
               const Size& size = {})
      : model(device, {.rank = size.rank, .dropout = 0.1}, seed, size.shape),
        pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, CubicSchedule{.begin = 6, .end = 40, .sparsity = 0.5},
               PrunerOptions{.every = 5, .revival = revival}),
        trainer(model, optimizer, pruner,
                test::tiny_text().batches(
                    {.size = size.batch, .length = size.length, .steps = steps, .seed = 4, .accumulate = 2}),
                with_rate(o)) {}
  static TrainerOptions with_rate(TrainerOptions o) {
    o.rate = {.peak = 5e-3, .warmup = 5, .steps = 60, .shape = RateShape::cosine};
    return o;
  }
  std::string hash() { return test::hash_of_training(model); }
};

}  // namespace

TEST_CASE("Training learns, prunes to the target and tells about it") {
  Run run({.validation = [&] { return evaluate(run.model, test::tiny_text(600), 24); }, .evaluate_every = 20});
  const auto before = evaluate(run.model, test::tiny_text(600), 24);
  const TrainingSummary summary = run.trainer.run(run.log);
  CHECK(summary.step == 60);
  CHECK_FALSE(summary.stopped);
  CHECK(summary.sparsity == doctest::Approx(0.5).epsilon(0.01));
  REQUIRE(run.log.steps.size() == 60);
  REQUIRE(run.log.evaluations.size() == 3);
  CHECK(run.log.evaluations.back().step == 60);
  CHECK(run.log.evaluations.back().result.loss < before.loss - 0.5);
  CHECK(run.log.steps[0].rate == doctest::Approx(1e-3));
  CHECK(run.log.steps[4].rate == doctest::Approx(5e-3));
  CHECK(run.log.steps[0].tokens == 2 * 2 * 24);
  CHECK(run.log.steps[59].sparsity == summary.sparsity);
  REQUIRE(run.log.prunes.size() > 3);
  CHECK(run.log.prunes.front().before == 0);
  for (const auto& p : run.log.prunes) CHECK(p.after > p.before);
}

TEST_CASE("Training has the same bits for one, two and three threads") {
  std::set<std::string> hashes;
  std::set<std::vector<double>> losses;
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    test::use_threads(threads);
    Run run;
    run.trainer.run(run.log);
    hashes.insert(run.hash());
    losses.insert(run.log.losses());
    first = run.log.losses();
  }
  CHECK(hashes.size() == 1);
  CHECK(losses.size() == 1);
  CHECK(std::set<double>(first.begin(), first.end()).size() > 50);  // and they are not all the same number
  test::use_threads(2);
}

TEST_CASE("So it has where every product of a block, every norm and all of attention are shared by threads") {
  {
    Run run({}, 1, Revival::none, 1, kWide);
    const Index tokens = kWide.batch * kWide.length;
    const auto shared = [](Index rows, Index cols, Index depth) {
      const detail::Tiles tiles(rows, cols);
      return tiles.down * tiles.across > 1 && rows * cols * depth > detail::kProductGrain;
    };
    for_each_projection(run.model, [&](const std::string& path, auto& p) {
      CAPTURE(path);
      const Index in = p.in(), out = p.out(), rank = p.adapter.rank();
      CHECK(shared(tokens, out, in));                                        // z
      CHECK(shared(tokens, in, out));                                        // dx
      CHECK((shared(tokens, rank, in) && shared(tokens, out, rank)));        // x Aᵀ, (x Aᵀ) Bᵀ
      CHECK((shared(tokens, rank, out) && shared(tokens, in, rank)));        // dz B, (dz B) A
      CHECK((shared(rank, in, tokens) && shared(rank, out, tokens)));        // dA; dB lies across
    });
    CHECK(tokens * kWide.shape.hidden > 4 * detail::kChunk);
    CHECK(kWide.batch * kWide.shape.heads * kernel::HeadLayout{1, kWide.length, 1, 1, 1}.tiles() > 3);
  }
  std::set<std::string> hashes;
  std::set<std::vector<double>> losses;
  for (const int threads : {1, 2, 3}) {
    test::use_threads(threads);
    Run run({}, 10, Revival::none, 1, kWide);
    CHECK(run.trainer.run(run.log).sparsity > 0);
    hashes.insert(run.hash());
    losses.insert(run.log.losses());
  }
  CHECK(hashes.size() == 1);
  CHECK(losses.size() == 1);
  test::use_threads(2);
}

TEST_CASE("A run that was stopped and resumed, again and again, ends in the bits of one that was not") {
  for (const Revival revival : {Revival::none, Revival::ema, Revival::straight_through}) {
    Run whole({}, 60, revival);
    whole.trainer.run(whole.log);
    const test::TemporaryDirectory folder;
    std::vector<double> losses;
    Index at = 0;
    for (const Index stop : {3, 10, 11, 26, 40, 41, 60}) {  // before, at and after events
      Run part({.checkpoints = folder / "run"}, 60, revival);
      const auto resumed = part.trainer.resume();
      CHECK(resumed.has_value() == (at > 0));
      CHECK(part.trainer.step() == at);
      Log log;
      log.then = [&](const StepReport& r) {
        if (r.step == stop) part.trainer.stop();
      };
      const auto summary = part.trainer.run(log);
      at = stop;
      CHECK(summary.step == at);
      CHECK(summary.stopped == (at < 60));
      REQUIRE(log.checkpoints.size() == 1);
      CHECK(log.checkpoints[0].step == at);
      for (const double l : log.losses()) losses.push_back(l);
      if (at == 60) CHECK(part.hash() == whole.hash());
      if (at == 60) CHECK(part.pruner.report().reached == whole.pruner.report().reached);
    }
    CHECK(losses == whole.log.losses());
  }
}

TEST_CASE("Another seed is another run") {
  Run a, b({}, 60, Revival::none, 2);
  a.trainer.run(), b.trainer.run();
  CHECK(a.hash() != b.hash());
}

TEST_CASE("Accumulated batches add up to the batch they are parts of") {
  const auto text = test::tiny_text();
  const auto train = [&](Index size, Index accumulate) {
    Cpu<double> device;
    test::TinyModel<Cpu<double>> model(device);
    AdamW optimizer(model);
    Trainer trainer(model, optimizer, text.batches({.size = size, .length = 24, .steps = 5, .accumulate = accumulate}),
                    {.rate = {.peak = 1e-2}});
    Log log;
    trainer.run(log);
    return log.losses();
  };
  const auto whole = train(8, 1), halves = train(4, 2), eighths = train(1, 8);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(halves[i] == doctest::Approx(whole[i]).epsilon(1e-12));
    CHECK(eighths[i] == doctest::Approx(whole[i]).epsilon(1e-12));
  }
}

TEST_CASE("A step whose gradients are not finite is skipped and counted, or stops the run: weights keep their bits") {
  for (const NonFinite policy : {NonFinite::skip, NonFinite::stop}) {
    Device device;
    Model model(device);
    AdamW optimizer(model, {.decay = 0.1});
    Trainer trainer(model, optimizer, test::tiny_text().batches({.size = 2, .length = 24, .steps = 6}),
                    {.rate = {.peak = 1e-2}, .non_finite = policy});
    const auto values = [&] {
      auto& arena = model.run.arena;
      Sha256 hash;
      for (const float* x : {arena.value(), arena.moment(device, 0), arena.moment(device, 1)})
        hash.update(std::as_bytes(std::span(x, std::size_t(arena.size()))));
      return hash.hex();
    };
    auto& weight = model.model.layers[0].mlp.up_proj.weight.view()(0, 0);
    float kept = 0;
    std::string before, after;
    Log log;
    log.then = [&](const StepReport& r) {
      if (r.step == 2) before = values(), kept = weight, weight = std::numeric_limits<float>::quiet_NaN();
      if (r.step == 3) after = values(), weight = kept;
    };
    if (policy == NonFinite::skip) {
      const auto summary = trainer.run(log);
      CHECK(summary.step == 6);
      CHECK(summary.skipped == 1);
      CHECK(before == after);
      for (const auto& s : log.steps) CHECK(s.skipped == (s.step == 3));
      CHECK(values() != before);
    } else {
      try {
        trainer.run(log);
        FAIL("it went on");
      } catch (const Error& error) {
        CHECK(error.code() == Errc::numerical);
        CHECK(std::string(error.what()).find("step 3") != std::string::npos);
      }
      CHECK(values() == before);
    }
  }
}

TEST_CASE("Options that contradict each other are refused before anything is trained") {
  Device device;
  Model model(device);
  AdamW optimizer(model);
  const auto batches = test::tiny_text().batches({.size = 2, .length = 24, .steps = 2});
  CHECK_THROWS_AS(Trainer(model, optimizer, batches, {.evaluate_every = 2}), Error);
  CHECK_THROWS_AS(Trainer(model, optimizer, batches, {.checkpoint_every = 2}), Error);
  CHECK_THROWS_AS(Trainer(model, optimizer, batches, {.max_norm = -1}), Error);
  CHECK_THROWS_AS(
      Trainer(model, optimizer, TokenFile::of(std::vector<int>(100, 256)).batches({.size = 2, .length = 24}), {}),
      Error);
}

TEST_CASE("Somebody who asks to stop before the run begins is heard, and the run can be taken up afterwards") {
  const test::TemporaryDirectory folder;
  Device device;
  Model model(device);
  AdamW optimizer(model);
  Trainer trainer(model, optimizer, test::tiny_text().batches({.size = 2, .length = 24, .steps = 3}),
                  {.checkpoints = folder / "run"});
  trainer.stop();
  const auto stopped = trainer.run();
  CHECK(stopped.stopped);
  CHECK(stopped.step == 0);
  const auto done = trainer.run();
  CHECK_FALSE(done.stopped);
  CHECK(done.step == 3);
}

TEST_CASE(
    "A skipped step on the day of a pruning event moves no mask, poisons no score, and the target is reached all the "
    "same") {
  Run run;
  auto& weight = run.model.model.layers[0].mlp.up_proj.weight.view()(0, 0);
  float kept = 0;
  Log log;
  log.then = [&](const StepReport& r) {
    if (r.step == 14) kept = weight, weight = std::numeric_limits<float>::infinity();
    if (r.step == 15) weight = kept;
  };
  const auto summary = run.trainer.run(log);
  CHECK(summary.skipped == 1);
  CHECK(log.steps[14].skipped);
  CHECK(log.steps[13].sparsity > 0);
  CHECK(log.steps[14].sparsity == log.steps[13].sparsity);
  CHECK(summary.sparsity == doctest::Approx(0.5).epsilon(0.01));
  for (const auto& group : run.pruner.plan().groups)
    for (const double score : group.scores) CHECK(std::isfinite(score));
  for (Index i = 0; i < run.model.run.arena.size(); ++i) REQUIRE(std::isfinite(run.model.run.arena.value()[i]));
}
