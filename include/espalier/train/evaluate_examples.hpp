// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <espalier/core/label_options.hpp>
#include <espalier/data/examples.hpp>
#include <espalier/train/evaluation.hpp>
#include <espalier/train/metrics.hpp>

namespace espalier::inline v0 {

struct ExampleEvaluateOptions {
  Index size = 32;     ///< examples a batch
  Index at_most = 0;   ///< stop after so many examples; 0: all
};

namespace detail {

/// What is usually said of a task of this kind. logits, values: (examples, labels).
inline std::vector<Metric> metrics_of(const LabelOptions& options, const std::vector<double>& logits, const std::vector<int>& classes,
                                      const std::vector<double>& values) {
  if (options.kind() == Problem::one_label) {
    const auto said = most_likely(logits, options.count);
    return {{"accuracy", accuracy(said, classes)},
            {"f1", options.count == 2 ? f1(said, classes) : macro_f1(said, classes)},
            {"matthews", matthews(said, classes)}};
  }
  if (options.kind() == Problem::regression) {
    if (options.count > 1) return {};
    return {{"pearson", pearson(logits, values)}, {"spearman", spearman(logits, values)}};
  }
  std::vector<int> said, wanted;  // every label of every example is a decision
  for (const double x : logits) said.push_back(x > 0);
  for (const double x : values) wanted.push_back(x > 0.5);
  return {{"accuracy", accuracy(said, wanted)}, {"f1", f1(said, wanted)}};
}

}  // namespace detail

/// The mean loss over a set of examples, and the metrics of its task: of one class accuracy, F1 (of class 1 where there are
/// two, else the mean over classes) and Matthews' correlation; of a number Pearson's and Spearman's; of several labels
/// accuracy and F1 over all decisions. Dropout is off and no gradient is formed. Tokens are hidden as in the first epoch.
template <class Model, ExampleSet Set>
Evaluation evaluate(Model& model, const Examples<Set>& examples, const ExampleEvaluateOptions& o = {}) {
  require(o.size > 0 && o.at_most >= 0, "evaluate: size {}, at_most {}; expected at least 1, 0", o.size, o.at_most);
  examples.check(model.config);
  const Set& set = examples.set();
  const Index n = o.at_most > 0 ? std::min(o.at_most, set.size()) : set.size();
  std::vector<EpochOrder::Drawn> drawn;
  typename Set::Rows rows;
  std::vector<double> logits, values;
  std::vector<int> classes;
  double sum = 0;
  Index counted = 0;
  for (Index first = 0; first < n; first += o.size) {
    drawn.clear();
    for (Index i = first; i < std::min(n, first + o.size); ++i) drawn.push_back({i, 0});
    set.collect(drawn, 0, rows);
    const auto batch = set.batch(rows);
    const Index here = batch.counted();
    if constexpr (Set::kLabelled) {
      const auto said = model.predict(batch);
      sum += said.loss * double(here);
      logits.insert(logits.end(), said.logits.begin(), said.logits.end());
      classes.insert(classes.end(), rows.classes.begin(), rows.classes.end());
      values.insert(values.end(), rows.values.begin(), rows.values.end());
    } else if (here > 0) {
      sum += double(model.evaluate(batch)) * double(here);
    }
    counted += here;
  }
  if (counted == 0) fail(Errc::bad_input, "{}: there is nothing to predict in {} examples", examples.source(), n);
  Evaluation result{sum / double(counted), 0, counted, {}};
  if constexpr (Set::kLabelled) {
    result.metrics = detail::metrics_of(set.labels.options, logits, classes, values);
  } else {
    result.perplexity = std::exp(result.loss);
  }
  return result;
}

}  // namespace espalier::inline v0
