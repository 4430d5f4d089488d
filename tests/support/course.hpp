// SPDX-License-Identifier: MIT
#pragma once
// One training run twice: with units that stay masked, and with units that leave.
#include <espalier/data/tokens.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/train/trainer.hpp>
#include <vector>

#include "gradients.hpp"

namespace espalier::test {

struct CourseOptions {
  Index steps = 60;
  double max_norm = 0.5;
  AdamWOptions adamw = {};
  PrunerOptions pruner = {.every = 5};
  BatchOptions batches = {.size = 2, .length = 12, .steps = 0, .seed = 4, .accumulate = 2};
};

/// What a run did, step by step, units under their numbers before any compaction.
struct Course {
  std::vector<double> losses, norms;
  std::vector<std::vector<std::uint8_t>> masks;
  std::vector<Index> compactions;  // steps
  std::vector<double> left;        // adapters and moments of the units that are left in the end
};

template <class Model>
std::vector<std::uint8_t> full_masks(Model& model) {
  std::vector<std::uint8_t> all;
  model.groups([&](auto group) {
    const std::size_t first = all.size();
    all.resize(first + std::size_t(group.mask->full()));
    for (std::size_t u = 0; u < group.mask->alive().size(); ++u)
      all[first + std::size_t(group.mask->origin()[u])] = group.mask->alive()[u];
  });
  return all;
}

template <class Model>
struct CourseWatcher : Silent {
  CourseWatcher(Model& m, Course& c) : model(m), course(c) {}
  void on_step(const StepReport& r) {
    course.losses.push_back(r.loss), course.norms.push_back(r.norm), course.masks.push_back(full_masks(model));
  }
  void on_compaction(const CompactionReport& r) { course.compactions.push_back(r.step); }
  Model& model;
  Course& course;
};

/// Numbers and moments of every parameter.
template <class Model>
std::vector<double> trained_numbers(Model& model) {
  auto& arena = model.run.arena;
  auto& device = *model.run.device;
  std::vector<double> all;
  for_each_parameter(model, [&](const std::string&, auto& p) {
    for (const auto* x : {p.value.data, arena.moment(device, 0) + p.offset, arena.moment(device, 1) + p.offset})
      all.insert(all.end(), x, x + p.size());
  });
  return all;
}

/// `batches` of any kind of data, as many as there are steps.
template <class Model, class Chooser, class Source>
Course follow_batches(Model& model, AdamW<Model>& optimizer, Chooser& pruner, Compaction compaction, const Source& batches,
                      const CourseOptions& o) {
  Trainer trainer(model, optimizer, pruner, batches,
                  {.rate = {.peak = 5e-3, .warmup = 5, .steps = o.steps, .shape = RateShape::cosine},
                   .max_norm = o.max_norm,
                   .compact = compaction});
  Course course;
  CourseWatcher<Model> watcher(model, course);
  trainer.run(watcher);
  compact(model);
  course.left = trained_numbers(model);
  return course;
}
template <class Model, class Chooser>
Course follow_course(Model& model, AdamW<Model>& optimizer, Chooser& pruner, Compaction compaction, const TokenFile& text,
                     const CourseOptions& o) {
  BatchOptions batches = o.batches;
  batches.steps = o.steps;
  return follow_batches(model, optimizer, pruner, compaction, text.batches(batches), o);
}

/// The schedule of these runs: half of the units leave between a tenth and eight tenths of the way.
inline CubicSchedule course_schedule(const CourseOptions& o) {
  return {.begin = 0.1 * double(o.steps), .end = 0.8 * double(o.steps), .sparsity = 0.5};
}
template <class Model, class Score>
Course run_course(Model& model, const Score& score, Compaction compaction, const TokenFile& text,
                  const CourseOptions& o = {}) {
  AdamW<Model> optimizer(model, o.adamw);
  Pruner<Model, Score, EMAMask, CubicSchedule> pruner(model, score, EMAMask{}, course_schedule(o), o.pruner);
  return follow_course(model, optimizer, pruner, compaction, text, o);
}

/// The largest relative distance of two series at one step.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() && !a.empty() ? 0 : 1e300;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::max(std::abs(b[i]), 1e-30));
  return worst;
}

}  // namespace espalier::test
