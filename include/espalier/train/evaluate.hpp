// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include <espalier/core/target.hpp>
#include <espalier/core/batch.hpp>
#include <espalier/core/error.hpp>
#include <espalier/data/tokens.hpp>
#include <espalier/train/evaluation.hpp>

namespace espalier::inline v0 {

struct EvaluateOptions {
  Index length = 256;  ///< tokens a window
  Index stride = 0;    ///< how far the next window is; 0: length, so that windows do not overlap
  Index size = 8;      ///< windows a batch
  Index at_most = 0;   ///< stop after so many windows; 0: all
};

/// Perplexity over a text: windows of `length` tokens, `stride` apart. Each token but the first is predicted once, from
/// what its window holds before it; where windows overlap, by the first that reaches it. The last window may be
/// shorter. Documents begin anew. Dropout is off and no gradient is formed.
template <class Model>
Evaluation evaluate(Model& model, const Tokens& t, const EvaluateOptions& o = {}) {
  const Index stride = o.stride > 0 ? o.stride : o.length;
  require(o.length > 0 && o.size > 0 && stride <= o.length,
          "evaluate: length {}, stride {}, size {}; expected stride <= length", o.length, stride, o.size);
  t.check(model.config.vocab);
  std::vector<int> ids(std::size_t(o.size * o.length)), targets(ids.size());
  double sum = 0;
  Index counted = 0, filled = 0, windows = 0;
  const auto flush = [&] {
    if (filled == 0) return;
    const auto n = std::size_t(filled * o.length);
    const Batch batch{std::span(ids).first(n), std::span(targets).first(n), {filled, o.length}};
    const Index here = batch.counted();
    if (here > 0) sum += double(model.evaluate(batch)) * double(here);
    counted += here, filled = 0;
  };
  const auto document = [&](Index begin, Index end) {
    for (Index first = begin, done = begin + 1; done < end; first += stride) {
      if (o.at_most > 0 && windows == o.at_most) return;
      const Index n = std::min(o.length, end - 1 - first);
      int* const row = ids.data() + filled * o.length;
      int* const goal = targets.data() + filled * o.length;
      std::fill_n(row, o.length, 0), std::fill_n(goal, o.length, kIgnore);
      for (Index i = 0; i < n; ++i) {
        row[i] = t.ids[std::size_t(first + i)];
        if (first + i + 1 >= done) goal[i] = t.label(first + i + 1);
      }
      done = first + n + 1, ++windows;
      if (++filled == o.size) flush();
    }
  };
  if (t.ends.empty()) document(0, t.size());
  for (Index d = 0; d < t.documents(); ++d) document(t.begin_of(d), t.ends[std::size_t(d)]);
  flush();
  if (counted == 0) fail(Errc::bad_input, "{}: no token to predict in {} ids", t.source, t.size());
  const double loss = sum / double(counted);
  return {loss, std::exp(loss), counted, {}};
}
template <class Model>
Evaluation evaluate(Model& model, const TokenFile& file, const EvaluateOptions& o = {}) {
  return evaluate(model, file.tokens(), o);
}
template <class Model>
Evaluation evaluate(Model& model, const TokenFile& file, Index length) {
  return evaluate(model, file.tokens(), EvaluateOptions{.length = length});
}

}  // namespace espalier::inline v0
