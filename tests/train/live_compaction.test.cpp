// SPDX-License-Identifier: MIT
// masked == compacted, for whole runs: units that leave while a model is trained, and units that stay masked.
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <set>

#include "support/compiled_training.hpp"
#include "support/course.hpp"
#include "support/temporary_directory.hpp"
#include "support/threads.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

LlamaConfig dropping(double p) {
  LlamaConfig c = tiny_config();
  c.attention_dropout = p;
  return c;
}

template <class Model>
Course run_tiny(Compaction compaction, double dropout, bool recompute, const CourseOptions& o) {
  typename Model::DeviceType device;
  Model model(device, {.rank = 4, .dropout = dropout}, 1, dropping(dropout));
  model.recompute = recompute;
  return run_course(model, TaylorImportance{}, compaction, tiny_text(2000), o);
}

}  // namespace

TEST_CASE("Two hundred steps with units that leave are those with units that stay masked") {
  const auto agree = [](double dropout, double decay, double max_norm, bool recompute) {
    CAPTURE(dropout);
    CAPTURE(decay);
    const CourseOptions o{.steps = 200, .max_norm = max_norm, .adamw = {.decay = decay}, .pruner = {.every = 15}};
    const Course masked = run_tiny<WideTiny>(Compaction::none, dropout, recompute, o),
                 live = run_tiny<WideTiny>(Compaction::live, dropout, recompute, o);
    CHECK(masked.compactions.empty());
    CHECK(live.compactions.size() >= 6);
    CHECK((live.masks == masked.masks));
    CHECK(live.masks.front() != live.masks.back());
    CHECK(distance(live.losses, masked.losses) <= 1e-12);
    CHECK(distance(live.norms, masked.norms) <= 1e-12);
    CHECK(relative_error(live.left, masked.left) <= 1e-12);
    CHECK(masked.losses.back() < 0.8 * masked.losses.front());
    return masked.losses;
  };
  const auto plain = agree(0, 0, 0, false), dropped = agree(0.1, 0.01, 0.5, true);
  CHECK(distance(plain, dropped) > 1e-3);  // dropout, decay and clipping were at work
}

namespace {

/// Masks that have been decided elsewhere, a step at a time.
struct Replayed {
  Tiny& model;
  const std::vector<std::vector<std::uint8_t>>& masks;
  std::size_t at = 0;

  double step() {
    const auto& bits = masks[at++];
    std::size_t first = 0;
    model.groups([&](auto group) {
      std::vector<std::uint8_t> alive;
      for (const int u : group.mask->origin()) alive.push_back(bits[first + std::size_t(u)]);
      group.mask->set(*model.run.device, alive);
      first += std::size_t(group.mask->full());
    });
    return double(std::count(bits.begin(), bits.end(), 0)) / double(bits.size());
  }
  template <class F>
  void visit_state(F&&) {}
};

}  // namespace

TEST_CASE("In single precision, with the masks of the run in double, losses are the same to 1e-4") {
  const CourseOptions o{.steps = 200, .pruner = {.every = 15}};
  const Course wide = run_tiny<WideTiny>(Compaction::live, 0.1, false, o);
  for (const Compaction compaction : {Compaction::none, Compaction::live}) {
    Cpu<float> device;
    Tiny model(device, {.rank = 4, .dropout = 0.1}, 1, dropping(0.1));
    AdamW<Tiny> optimizer(model, o.adamw);
    Replayed pruner{model, wide.masks};
    const Course narrow = follow_course(model, optimizer, pruner, compaction, tiny_text(2000), o);
    CHECK((narrow.masks == wide.masks));
    CHECK(narrow.compactions.size() == (compaction == Compaction::live ? wide.compactions.size() : 0));
    const double far = distance(narrow.losses, wide.losses);
    CHECK(far <= 1e-4);
    CHECK(far > 0);
  }
}

namespace {

/// A run in which everything happens: dropout, accumulation, decay, clipping, and units that leave.
struct Run {
  Cpu<float> device;
  Tiny model;
  AdamW<Tiny> optimizer{model, {.decay = 0.01}};
  TinyPruner<TaylorImportance> pruner;
  Trainer<Tiny, TinyPruner<TaylorImportance>> trainer;
  TrainingLog log;

  explicit Run(const std::string& folder = "", Compaction compaction = Compaction::live, PrunerOptions o = {.every = 5})
      : model(device, {.rank = 4, .dropout = 0.1}, 1, dropping(0.1)),
        pruner(model, TaylorImportance{}, EMAMask{.decay = 0.9}, CubicSchedule{.begin = 2, .end = 20, .sparsity = 0.5}, o),
        trainer(model, optimizer, pruner,
                tiny_text(2000).batches({.size = 2, .length = 12, .steps = 30, .seed = 4, .accumulate = 2}),
                {.rate = {.peak = 5e-3, .warmup = 5, .steps = 30, .shape = RateShape::cosine},
                 .compact = compaction,
                 .checkpoints = folder}) {}
  std::string hash() { return hash_of_training(model); }
};

}  // namespace

TEST_CASE("An event is told with what the model took up before and after, and steps say what they take up") {
  Run run;
  const Footprint dense = footprint(run.model);
  CHECK(dense.parameters == count_parameters(run.model));
  CHECK(dense.bytes == 4 * (dense.parameters + 4 * run.model.run.arena.size()));
  run.trainer.run(run.log);
  REQUIRE(run.log.compactions.size() == 3);  // steps 5, 10 and 15
  Footprint last = dense;
  for (const CompactionReport& c : run.log.compactions) {
    CHECK(c.step % 5 == 0);
    CHECK(c.before.bytes == last.bytes);
    CHECK(c.after.parameters < c.before.parameters);
    CHECK(c.after.trained < c.before.trained);
    CHECK(c.after.bytes < c.before.bytes);
    last = c.after;
  }
  CHECK(last.parameters == count_parameters(run.model));
  CHECK(last.bytes == footprint(run.model).bytes);
  CHECK(run.log.steps[4].bytes == run.log.steps[0].bytes);  // the event comes after step 5
  CHECK(run.log.steps[5].bytes < run.log.steps[4].bytes);
  CHECK(run.log.steps[29].bytes == last.bytes + run.model.run.workspace.peak());
  // Scratch memory shrinks as well.
  CHECK(run.log.steps[29].bytes - last.bytes < run.log.steps[0].bytes - dense.bytes);
}

TEST_CASE("Moments, weights and scores of those that stay keep their bits across an event") {
  Run run;
  std::vector<double> before;
  int events = 0;
  struct Watch : Silent {
    Run& run;
    std::vector<double>& before;
    int& events;
    Watch(Run& r, std::vector<double>& b, int& e) : run(r), before(b), events(e) {}
    /// Everything that survives the masks as they are now.
    void on_step(const StepReport&) {
      std::map<const void*, std::vector<int>> rows, columns;
      run.model.groups([&](auto group) {
        for (auto& s : group.slices) {
          auto& list = s.axis == Axis::rows ? rows[&s.projection->adapter.b] : columns[&s.projection->adapter.a];
          for (Index u = 0; u < group.units(); ++u)
            for (Index j = 0; j < s.width && group.mask->alive()[std::size_t(u)]; ++j) list.push_back(int(u * s.width + j));
        }
      });
      before.clear();
      auto& arena = run.model.run.arena;
      for_each_parameter(run.model, [&](const std::string&, auto& p) {
        for (const float* x : {p.value.data, arena.moment(run.device, 0) + p.offset, arena.moment(run.device, 1) + p.offset})
          for (Index i = 0; i < p.rows; ++i)
            for (Index j = 0; j < p.cols; ++j) {
              const auto in = [](const auto& lists, const void* at, Index k) {
                const auto list = lists.find(at);
                return list == lists.end() || std::binary_search(list->second.begin(), list->second.end(), int(k));
              };
              if (in(rows, &p, i) && in(columns, &p, j)) before.push_back(double(x[i * p.cols + j]));
            }
      });
    }
    void on_compaction(const CompactionReport&) {
      ++events;
      CHECK(trained_numbers(run.model) == before);
      CHECK(std::count_if(before.begin(), before.end(), [](double x) { return x != 0; }) > 1000);
    }
  } watch(run, before, events);
  run.trainer.run(watch);
  CHECK(events == 3);
}

TEST_CASE("A run that was stopped and resumed from the dense model, before, at and after events, ends in the same bits") {
  Run whole;
  whole.trainer.run(whole.log);
  const TemporaryDirectory folder;
  std::vector<double> losses;
  Index at = 0;
  for (const Index stop : {4, 5, 6, 14, 15, 20, 21, 30}) {
    Run part(folder / "run");
    const auto resumed = part.trainer.resume();
    CHECK(resumed.has_value() == (at > 0));
    CHECK(part.trainer.step() == at);
    part.log.then = [&](const StepReport& r) {
      if (r.step == stop) part.trainer.stop();
    };
    part.trainer.run(part.log);
    at = stop;
    for (const double l : part.log.losses()) losses.push_back(l);
    for (const StepReport& r : part.log.steps) CHECK(r.bytes == whole.log.steps[std::size_t(r.step - 1)].bytes);
    if (at == 30) {
      CHECK(part.hash() == whole.hash());
      CHECK(part.pruner.report().reached == whole.pruner.report().reached);
      for (std::size_t g = 0; g < 4; ++g) CHECK(part.pruner.plan().groups[g].scores == whole.pruner.plan().groups[g].scores);
    }
  }
  CHECK(losses == whole.log.losses());
}

TEST_CASE("Units that leave leave in the same bits for one, two and three threads") {
  std::set<std::string> hashes;
  for (const int threads : {1, 2, 3}) {
    use_threads(threads);
    Run run;
    run.trainer.run();
    hashes.insert(run.hash());
  }
  CHECK(hashes.size() == 1);
  use_threads(2);
}

TEST_CASE("A run whose units may come back, or whose scores look at those that left, cannot let them leave") {
  const auto refusal = [](PrunerOptions o) -> std::string {
    try {
      Run run("", Compaction::live, o);
      return "nothing was refused";
    } catch (const Error& error) {
      CHECK(error.code() == Errc::usage);
      return error.what();
    }
  };
  CHECK(refusal({.every = 5, .revival = Revival::ema}).find("revival 'ema'") != std::string::npos);
  CHECK(refusal({.every = 5, .revival = Revival::straight_through}).find("straight_through") != std::string::npos);
  CHECK(refusal({.every = 5, .normalise = Normalise::all}).find("normalised over all units") != std::string::npos);
  CHECK(refusal({.every = 5, .official = true}).find("official preset") != std::string::npos);
  CHECK_NOTHROW(Run("", Compaction::none, {.every = 5, .revival = Revival::ema}));
  // Nor when it is asked for later.
  Run late("", Compaction::none, {.every = 5, .revival = Revival::ema});
  late.trainer.options.compact = Compaction::live;
  CHECK_THROWS_WITH_AS(late.trainer.run(), doctest::Contains("revival 'ema'"), Error);
}

TEST_CASE("A checkpoint of a run that lets units leave is refused by one that keeps them, and the other way round") {
  for (const Compaction first : {Compaction::none, Compaction::live}) {
    const TemporaryDirectory folder;
    Run(folder / "run", first).trainer.run();
    Run other(folder / "run", first == Compaction::none ? Compaction::live : Compaction::none);
    const std::string before = other.hash();
    CHECK_THROWS_WITH_AS(other.trainer.resume(), doctest::Contains("another value of compact"), Error);
    CHECK(other.hash() == before);
  }
}
