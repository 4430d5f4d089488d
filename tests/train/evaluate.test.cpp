// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/train/evaluate.hpp>

#include "support/gradients.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using Real = test::Oracle<double>;
using Model = test::TinyModel<Real>;

namespace {

/// −log p of every token of ids[begin, end) but the first, each from all the tokens that its window holds before it.
void by_hand(Model& model, const std::vector<int>& ids, Index begin, Index end, Index length, Index stride, double& sum,
             Index& n) {
  for (Index first = begin, done = begin; done + 1 < end; first += stride) {
    const Index tokens = std::min(length, end - 1 - first);
    const auto logits = model.logits(std::span(ids).subspan(std::size_t(first), std::size_t(tokens)), {1, tokens});
    for (Index i = 0; i < tokens; ++i) {
      if (first + i < done) continue;
      double total = 0;
      for (Index v = 0; v < 256; ++v) total += std::exp(logits[std::size_t(i * 256 + v)]);
      sum += std::log(total) - logits[std::size_t(i * 256 + ids[std::size_t(first + i + 1)])], ++n;
    }
    done = first + tokens;
  }
}

}  // namespace

TEST_CASE("Loss and perplexity are those of the protocol: windows, strides, a short last window, documents") {
  Real device;
  Model model(device);
  const std::vector<int> ids = test::tiny_text(75).tokens().ids;
  for (const Index stride : {0, 16, 5, 1})
    for (const Index size : {1, 3}) {
      double sum = 0;
      Index n = 0;
      by_hand(model, ids, 0, 75, 16, stride == 0 ? 16 : stride, sum, n);
      const Evaluation e = evaluate(model, TokenFile::of(ids), {.length = 16, .stride = stride, .size = size});
      CHECK(n == 74);
      CHECK(e.tokens == n);
      CHECK(e.loss == doctest::Approx(sum / double(n)).epsilon(1e-12));
      CHECK(e.perplexity == doctest::Approx(std::exp(sum / double(n))).epsilon(1e-12));
    }
  double sum = 0;
  Index n = 0;
  for (Index d = 0; d < 3; ++d) by_hand(model, ids, d * 25, d * 25 + 25, 16, 16, sum, n);
  const Evaluation e = evaluate(model, TokenFile::of(ids, 25), 16);
  CHECK(e.tokens == 72);
  CHECK(e.loss == doctest::Approx(sum / 72).epsilon(1e-12));
}

TEST_CASE("Ignored labels are neither predicted nor counted") {
  Real device;
  Model model(device);
  Tokens t = test::tiny_text(10).tokens();
  t.labels = t.ids, t.ends = {10};
  for (std::size_t i = 0; i < 9; ++i) t.labels[i] = -100;
  CHECK(evaluate(model, t, {.length = 16}).tokens == 1);
  t.labels[9] = -100;
  CHECK_THROWS_AS(evaluate(model, t, {.length = 16}), Error);
}

TEST_CASE("Evaluation leaves no gradient and no trace, and has no dropout") {
  Real device;
  Model model(device, {.rank = 4, .dropout = 0.5});
  for (auto& block : model.blocks())
    test::fill(block.mlp.up_proj.adapter.b.value.data, block.mlp.up_proj.adapter.b.size(), 3);
  const auto text = test::tiny_text(80);
  const auto first = evaluate(model, text, 16), second = evaluate(model, text, 16);
  CHECK(first.loss == second.loss);
  for (Index i = 0; i < model.run.arena.size(); ++i) CHECK(model.run.arena.grad()[i] == 0);
  CHECK(model.run.step.step == 0);
  CHECK(evaluate(model, text, {.length = 16, .at_most = 2}).tokens == 32);
  CHECK_THROWS_AS(evaluate(model, text, {.length = 16, .stride = 17}), Error);
  CHECK_THROWS_AS(evaluate(model, TokenFile::of({1, 2, 300}), 16), Error);
}

TEST_CASE("A batch with an id that the model does not know is refused, checked or not") {
  Real device;
  Model model(device);
  const std::vector<int> good{1, 2}, high{1, 256}, low{1, -1}, ignored{1, -100};
  CHECK_THROWS_AS(model.loss({high, good, {1, 2}}), Error);
  CHECK_THROWS_AS(model.loss({low, good, {1, 2}}), Error);
  CHECK_THROWS_AS(model.loss({good, high, {1, 2}}), Error);
  CHECK_THROWS_AS(model.evaluate({good, low, {1, 2}}), Error);
  CHECK_NOTHROW(model.loss({good, ignored, {1, 2}}));
}
