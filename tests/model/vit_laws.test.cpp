// SPDX-License-Identifier: MIT
// Whole ViTs: gradients by complex step on the loss, masks, compaction and files, with adapters beside and behind the weight.
#include <doctest/doctest.h>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/adapter/sequential.hpp>
#include <espalier/model/vit_files.hpp>

#include "through_files.hpp"
#include "whole_model.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// Three images of two channels, with a row of pixels that belongs to no patch; or others.
struct Images {
  std::vector<float> pixels;
  std::vector<int> classes{2, -100, 0};
  ImageBatch batch;
  explicit Images(Index channels = 2, Index height = 5, Index width = 4) : pixels(std::size_t(3 * channels * height * width)) {
    fill(pixels.data(), Index(pixels.size()), 11);
    batch = {.pixels = pixels, .batch = 3, .channels = channels, .height = height, .width = width, .labels = {.classes = classes}};
  }
};

VitConfig sizes(bool bias) {
  VitConfig c;
  c.hidden = 6, c.layers = 2, c.heads = c.groups = 3, c.head_dim = 2, c.feed_forward = 7, c.eps = 1e-3;
  c.grid = {2, 5, 4, 2, 2}, c.qkv_bias = bias, c.labels.count = 3;
  return c;
}

template <template <class> class Adapter>
double gradient_error(bool bias, bool mask, const ImageBatch& batch) {
  Drawn<VitForImageClassification<Real, Adapter>> real(sizes(bias));
  Drawn<VitForImageClassification<Complex, Adapter>> imaginary(sizes(bias));
  if (mask) real.mask(), imaginary.mask();
  return gradient_error(real.model, imaginary.model, batch);
}

}  // namespace

TEST_CASE("gradients of adapters and head are the derivative of the loss, with and without masks") {
  const Images images;
  for (const bool mask : {false, true}) {
    CHECK(gradient_error<LowRankAdapter>(!mask, mask, images.batch) <= 1e-12);
    CHECK(gradient_error<SequentialAdapter>(!mask, mask, images.batch) <= 1e-12);
  }
}

TEST_CASE("masked == compacted == merged for each group, with adapters beside and behind the weight") {
  const Images images;
  for (const char* kind : {"heads", "channels", ""}) {
    expect_compacted<VitForImageClassification<Real, LowRankAdapter>>(sizes(true), images.batch, kind);
    expect_compacted<VitForImageClassification<Real, SequentialAdapter>>(sizes(true), images.batch, kind);
  }
}

TEST_CASE("an adapter behind the weight that was trained without masks is merged before units leave") {
  const Images images;
  expect_merged_first<VitForImageClassification<Real, SequentialAdapter>>(sizes(true), images.batch);
}

TEST_CASE("an adapter behind the weight goes through files, also where queries, keys and values have no bias") {
  using Model = VitForImageClassification<Real, SequentialAdapter>;
  expect_through_files<Model>("vit", Images(3, 8, 8).batch, {Layout::padded});
  expect_through_files<Model>("vit-odd", Images(2, 7, 6).batch, {Layout::padded});
}
