// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <espalier/kernel/activation.hpp>
#include <espalier/kernel/attention_positions.hpp>
#include <espalier/kernel/block_select.hpp>
#include <espalier/kernel/cholesky.hpp>
#include <espalier/kernel/clip.hpp>
#include <espalier/kernel/dropout.hpp>
#include <espalier/kernel/elementwise.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/kernel/input_statistics.hpp>
#include <espalier/kernel/label_loss.hpp>
#include <espalier/kernel/layer_norm.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/kernel/norm.hpp>
#include <espalier/kernel/obs.hpp>
#include <espalier/kernel/output_mask.hpp>
#include <espalier/kernel/patches.hpp>
#include <espalier/kernel/position.hpp>
#include <espalier/kernel/product.hpp>
#include <espalier/kernel/rotary.hpp>
#include <espalier/kernel/segment.hpp>
#include <espalier/kernel/select.hpp>
#include <espalier/kernel/swiglu.hpp>
#include <espalier/kernel/taylor_tiles.hpp>
#include <espalier/kernel/unfold_sequence.hpp>
#include <espalier/kernel/units.hpp>
#include <espalier/kernel/sparse_gpt.hpp>
#include <espalier/kernel/weight_mask.hpp>
#include <espalier/kernel/weight_score.hpp>
#include <espalier/kernel/weight_select.hpp>
#include <limits>
#include <vector>

namespace espalier::test {

/// Whether a kernel's arithmetic is exact on eighths, so that any order of its sums gives the same bits.
enum class Sums { exact, rounded };

/// Multiples of 1/8 in [-1, 1]: exact in every type.
template <class T>
std::vector<T> eighths(Index n, std::uint64_t seed) {
  std::vector<T> x;
  for (Index i = 0; i < n; ++i) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    x.push_back(T(float(int((seed >> 33) % 17) - 8) / 8));
  }
  return x;
}
template <class T>
View<const T, 2> in(const std::vector<T>& x, Index rows) {
  return matrix(x.data(), rows, Index(x.size()) / rows);
}
template <class T>
View<const T, 1> in(const std::vector<T>& x) {
  return vector(x.data(), Index(x.size()));
}
template <class T>
View<T, 2> out(std::vector<T>& x, Index rows) {
  return matrix(x.data(), rows, Index(x.size()) / rows);
}
template <class T>
View<T, 1> out(std::vector<T>& x) {
  return vector(x.data(), Index(x.size()));
}

/// What a kernel has stored, as numbers; infinities as large ones, so that differences mean something.
template <class T>
std::vector<double> numbers_of(const std::vector<T>& x) {
  std::vector<double> out(x.begin(), x.end());
  for (double& v : out) v = v > 1e100 ? 1e100 : v < -1e100 ? -1e100 : v;
  return out;
}
inline std::vector<double> numbers_of(const std::vector<StepState>& x) { return {x[0].norm, x[0].clip}; }
template <class A>
std::vector<double> numbers_of(const std::vector<kernel::Threshold<A>>& x) {
  return {double(x[0].key), double(x[0].among)};
}

template <class T, class A, class Launch>
void row_kernels(Launch& launch) {
  const Index rows = 5, width = 70;
  const auto x = eighths<T>(rows * width, 1), dy = eighths<T>(rows * width, 2), up = eighths<T>(rows * width, 3);
  const auto gain = eighths<A>(width, 4);
  auto mask = std::vector<A>(std::size_t(width), A(1));
  mask[3] = A(0);
  const auto start = eighths<T>(rows * width, 5);

  auto y = start;
  launch("AccumulateRows", Sums::exact, 2,
         kernel::AccumulateRows<T>{in(x, rows).rows(1, 2), {y.data(), {2, width}, {2 * width, 1}}}, y);
  y = start;
  launch("AddBias", Sums::exact, rows, kernel::AddBias<T, A>{in(gain), out(y, rows)}, y);

  const auto bits = std::vector<A>{A(1), A(0), A(1), A(1), A(0)};  // of five units, twice in a row
  y = start;
  launch("AddMasked", Sums::exact, rows,
         kernel::AddMasked<T, A>{in(x, rows), in(dy, rows), in(bits), 7, out(y, rows)}, y);
  launch("MaskOutputs", Sums::exact, rows, kernel::MaskOutputs<T, A>{in(x, rows), in(bits), 7, out(y, rows)}, y);

  const std::vector<int> tokens{4, 0, 2, 2, 1}, columns{69, 3, 3, 0, 17};
  y = start;
  launch("Embed", Sums::exact, rows, kernel::Embed<T, T>{in(x, rows), tokens.data(), out(y, rows)}, y);
  y = start;
  launch("EmbedWithPosition", Sums::exact, rows,
         kernel::EmbedWithPosition<T, T>{in(x, rows), in(up, rows), tokens.data(), 3, out(y, rows)}, y);
  const std::vector<int> own{0, 1, 0, 0, 1};  // positions in documents of two tokens and of one
  launch("EmbedWithPosition", Sums::exact, rows,
         kernel::EmbedWithPosition<T, T>{in(x, rows), in(up, rows), tokens.data(), 3, out(y, rows), own.data()}, y);
  const std::vector<int> kinds{0, 1, 1, 0, 1}, places{3, 4, 0, 1, 1};
  y = start;
  launch("EmbedWithSegment", Sums::exact, rows,
         kernel::EmbedWithSegment<T, T>{in(x, rows), in(up, rows), in(dy, rows), tokens.data(), kinds.data(), places.data(), out(y, rows)}, y);
  launch("EmbedWithSegment", Sums::exact, rows, kernel::EmbedWithSegment<T, T>{in(x, rows), {}, {}, tokens.data(), nullptr, nullptr, out(y, rows)}, y);
  std::vector<T> picked(25);
  launch("Gather", Sums::exact, rows, kernel::Gather<T>{in(x, rows), tokens.data(), columns.data(), out(picked, rows)},
         picked);

  const kernel::PatchGrid grid{2, 7, 6, 3, 2};  // six patches and a row of pixels that belongs to none
  const auto pixels = eighths<T>(2 * 2 * 7 * 6, 13);
  std::vector<T> unfolded(std::size_t(2 * 6 * grid.numbers()));
  launch("Unfold", Sums::exact, 12, kernel::Unfold<T>{grid, pixels.data(), out(unfolded, 12)}, unfolded);
  const auto patches = eighths<T>(2 * 6 * 20, 14), first = eighths<T>(20, 15), positions = eighths<T>(7 * 20, 16);
  const auto offset = eighths<A>(20, 17);
  std::vector<T> placed(std::size_t(2 * 7 * 20));
  launch("PlacePatches", Sums::exact, 14,
         kernel::PlacePatches<T, T, A>{in(patches, 12), in(offset), in(first, 1), in(positions, 7), out(placed, 14)}, placed);

  std::vector<StepState> state(1);  // memory of the heap, all of it: a device may share that
  state[0].seed = 3, state[0].step = 2, state[0].clip = 0.5;
  for (const bool add : {false, true}) {
    y = start;
    launch("Dropout", Sums::exact, rows,
           kernel::Dropout<T>{in(x, rows), 0.5, 1, state.data(), nullptr, width, add, out(y, rows)}, y);
  }

  auto inverse = std::vector<A>(std::size_t(rows), A(9));
  y = start;
  launch("RmsNorm", Sums::rounded, rows, kernel::RmsNorm<T, A>{in(x, rows), in(gain), 1e-3, out(y, rows), out(inverse)},
         y, inverse);
  y = start;
  launch("RmsNormBackward", Sums::rounded, rows,
         kernel::RmsNormBackward<T, A>{in(x, rows), in(gain), in(inverse), in(dy, rows), out(y, rows)}, y);

  const auto shift = eighths<A>(width, 8);
  auto mean = inverse;
  y = start;
  launch("LayerNorm", Sums::rounded, rows,
         kernel::LayerNorm<T, A>{in(x, rows), in(gain), in(shift), 1e-3, out(y, rows), out(mean), out(inverse)}, y,
         mean, inverse);
  y = start;
  launch("LayerNormBackward", Sums::rounded, rows,
         kernel::LayerNormBackward<T, A>{in(x, rows), in(gain), in(mean), in(inverse), in(dy, rows), out(y, rows)}, y);

  y = start;
  launch("Activate", Sums::rounded, rows, kernel::Activate<kernel::Gelu, T, A>{in(x, rows), in(mask), out(y, rows)}, y);
  y = start;
  launch("ActivateBackward", Sums::rounded, rows,
         kernel::ActivateBackward<kernel::Gelu, T, A>{in(x, rows), in(dy, rows), in(mask), out(y, rows)}, y);

  y = start;
  launch("SwiGlu", Sums::rounded, rows, kernel::SwiGlu<T, A>{in(x, rows), in(up, rows), in(mask), out(y, rows)}, y);
  auto dgate = start, dup = start;
  launch(
      "SwiGluBackward", Sums::rounded, rows,
      kernel::SwiGluBackward<T, A>{in(x, rows), in(up, rows), in(dy, rows), in(mask), out(dgate, rows), out(dup, rows)},
      dgate, dup);

  const auto cosine = eighths<A>(3 * 7, 6), sine = eighths<A>(3 * 7, 7);  // 5 heads of 14, 3 positions
  y = x;
  launch("Rotate", Sums::exact, rows, kernel::Rotate<T, A>{in(cosine, 3), in(sine, 3), 5, -1, out(y, rows)}, y);
  y = x;
  launch("Rotate", Sums::exact, rows, kernel::Rotate<T, A>{in(cosine, 3), in(sine, 3), 5, -1, out(y, rows), own.data()}, y);

  const std::vector<int> targets{4, kIgnore, 69, 0, 33};
  const std::vector<double> quarter{0.25};
  auto loss = std::vector<A>(std::size_t(rows), A(9));
  y = x;
  launch("CrossEntropy", Sums::rounded, rows,
         kernel::CrossEntropy<T, A>{out(y, rows), targets.data(), quarter.data(), out(loss)}, y, loss);
  const auto wish = eighths<A>(rows * width, 9);
  std::vector<A> yes(wish.size());
  for (std::size_t i = 0; i < yes.size(); ++i) yes[i] = A(float(i % 3 == 0));
  auto guess = eighths<A>(rows * width, 10);
  launch("SquaredError", Sums::exact, rows, kernel::SquaredError<A>{out(guess, rows), in(wish, rows), quarter.data(), out(loss)}, guess, loss);
  guess = eighths<A>(rows * width, 10);
  launch("BinaryCrossEntropy", Sums::rounded, rows,
         kernel::BinaryCrossEntropy<A>{out(guess, rows), in(yes, rows), quarter.data(), out(loss)}, guess, loss);
  auto columns_of = eighths<A>(width, 12);
  launch("ColumnSums", Sums::exact, width, kernel::ColumnSums<A>{in(wish, rows), out(columns_of)}, columns_of);
  std::vector<A> total{A(1)};
  launch("SumInto", Sums::exact, 1, kernel::SumInto<A>{in(gain), total.data()}, total);
}

template <class A, class Launch>
void step_kernels(Launch& launch) {
  const auto gradient = eighths<A>(5000, 11);
  std::vector<double> partial(2);
  launch("SquareSums", Sums::exact, 2, kernel::SquareSums<A>{in(gradient), out(partial)}, partial);
  std::vector<StepState> state(1);
  launch("ClipFactor", Sums::exact, 1, kernel::ClipFactor{in(partial), 0.5, state.data()}, state);
}

template <class T, class A, class Launch>
void attention_kernels(Launch& launch) {
  const kernel::HeadLayout layout{2, 70, 6, 3, 5};  // tiles of 32 and blocks of 64 that do not come out even
  const Index tokens = layout.batch * layout.seq, wide = layout.heads * layout.width,
              narrow = layout.groups * layout.width;
  const auto q = eighths<T>(tokens * wide, 21), k = eighths<T>(tokens * narrow, 22),
             v = eighths<T>(tokens * narrow, 23), dy = eighths<T>(tokens * wide, 24);
  const std::vector<A> mask{A(1), A(0), A(0)}, seen{A(1), A(1), A(0)};  // the second is seen through by backward
  auto y = eighths<T>(tokens * wide, 25), dq = y, dk = k, dv = v;
  auto lse = std::vector<A>(std::size_t(tokens * layout.heads), A(9)), delta = lse;
  const kernel::CausalAttention<T, A> forward{layout,   A(0.5f),  in(q, tokens),  in(k, tokens),   in(v, tokens),
                                              in(mask), in(seen), out(y, tokens), out(lse, tokens)};
  launch("Attention", Sums::rounded, forward.rows(), forward, y, lse);
  const auto kept = y;
  const auto sums = lse;
  const kernel::CausalAttentionBackward<T, A> common{
      layout,          A(0.5f),         in(q, tokens),    in(k, tokens),     in(v, tokens),
      in(mask),        in(seen),        in(kept, tokens), in(sums, tokens),  in(dy, tokens),
      out(dq, tokens), out(dk, tokens), out(dv, tokens),  out(delta, tokens)};
  const kernel::AttentionBackwardQueries<T, A> queries{common};
  launch("AttentionBackwardQueries", Sums::rounded, queries.rows(), queries, dq, delta);
  const kernel::AttentionBackwardKeys<T, A> keys{common};
  launch("AttentionBackwardKeys", Sums::rounded, keys.rows(), keys, dk, dv);

  std::vector<int> position;  // of documents, some within a tile and one beyond a block
  for (Index t = 0; t < tokens; ++t)
    position.push_back(t % layout.seq == 0 || t == 3 || t == 4 || t == 37 || t == 76 ? 0 : position.back() + 1);
  auto packed = forward;
  packed.sees.position = position.data();
  launch("Attention", Sums::rounded, packed.rows(), packed, y, lse);
  const auto kept_packed = y;
  const auto sums_packed = lse;
  auto common_packed = common;
  common_packed.y = in(kept_packed, tokens), common_packed.lse = in(sums_packed, tokens), common_packed.sees = packed.sees;
  const kernel::AttentionBackwardQueries<T, A> queries_packed{common_packed};
  launch("AttentionBackwardQueries", Sums::rounded, queries_packed.rows(), queries_packed, dq, delta);
  const kernel::AttentionBackwardKeys<T, A> keys_packed{common_packed};
  launch("AttentionBackwardKeys", Sums::rounded, keys_packed.rows(), keys_packed, dk, dv);

  std::vector<int> visible(std::size_t(tokens), 1);  // holes, and padding on both sides
  for (const Index t : {Index(0), Index(1), Index(40), layout.seq - 1, layout.seq, tokens - 2, tokens - 1}) visible[std::size_t(t)] = 0;
  std::vector<StepState> state(1);
  const std::vector<int> origin{0, 1, 3};  // of neighbours that share a key
  const kernel::Padding sees{visible.data(), {.q = 0.25, .which = 2, .state = state.data(), .origin = origin.data(), .full = 4, .each = 2}};
  const kernel::Attention<T, A, kernel::Padding> both{layout,   A(0.5f),  in(q, tokens),  in(k, tokens),   in(v, tokens),
                                                      in(mask), in(seen), out(y, tokens), out(lse, tokens), sees};
  launch("Attention", Sums::rounded, both.rows(), both, y, lse);
  const auto kept_both = y;
  const auto sums_both = lse;
  const kernel::AttentionBackward<T, A, kernel::Padding> common_both{
      layout,          A(0.5f),         in(q, tokens),         in(k, tokens),         in(v, tokens),
      in(mask),        in(seen),        in(kept_both, tokens), in(sums_both, tokens), in(dy, tokens),
      out(dq, tokens), out(dk, tokens), out(dv, tokens),       out(delta, tokens),    sees};
  const kernel::AttentionBackwardQueries<T, A, kernel::Padding> queries_both{common_both};
  launch("AttentionBackwardQueries", Sums::rounded, queries_both.rows(), queries_both, dq, delta);
  const kernel::AttentionBackwardKeys<T, A, kernel::Padding> keys_both{common_both};
  launch("AttentionBackwardKeys", Sums::rounded, keys_both.rows(), keys_both, dk, dv);
}

/// Attention that knows positions: each distance up to 20 its own, farther ones together.
template <class T, class A, class Launch>
void position_kernels(Launch& launch) {
  const kernel::HeadLayout layout{2, 70, 3, 3, 5};
  const Index tokens = layout.batch * layout.seq, wide = layout.heads * layout.width, positions = 41, sides = layout.seq + 32;
  const auto q = eighths<T>(tokens * wide, 31), k = eighths<T>(tokens * wide, 32), v = eighths<T>(tokens * wide, 33),
             dy = eighths<T>(tokens * wide, 34), key = eighths<T>(positions * wide, 35), query = eighths<T>(positions * wide, 36);
  const std::vector<A> mask{A(1), A(0), A(0)}, seen{A(1), A(1), A(0)};
  std::vector<int> visible(std::size_t(tokens), 1), index;
  for (const Index t : {Index(3), layout.seq - 1, layout.seq, tokens - 1}) visible[std::size_t(t)] = 0;
  for (Index d = -sides; d <= sides; ++d) index.push_back(int(d < -20 ? 0 : d > 20 ? 40 : d + 20));
  auto y = eighths<T>(tokens * wide, 37), dq = y, dk = y, dv = y, sum = key;
  auto lse = std::vector<A>(std::size_t(tokens * layout.heads), A(9)), delta = lse;
  auto dkey = std::vector<A>(std::size_t(layout.batch * positions * wide), A(9)), dquery = dkey;
  using Positions = kernel::RelativePositions<T>;
  const Positions at{layout.width, in(key, positions), in(query, positions), index.data() + sides};
  const kernel::Padding sees{visible.data()};
  const kernel::Attention<T, A, kernel::Padding, Positions> forward{
      layout,   A(0.5f),  in(q, tokens),  in(k, tokens),    in(v, tokens), in(mask), in(seen), out(y, tokens),
      out(lse, tokens), sees, at};
  launch("Attention", Sums::rounded, forward.rows(), forward, y, lse);
  const auto kept = y;
  const auto sums = lse;
  const kernel::AttentionBackward<T, A, kernel::Padding, Positions> common{
      layout,          A(0.5f),         in(q, tokens),    in(k, tokens),     in(v, tokens),
      in(mask),        in(seen),        in(kept, tokens), in(sums, tokens),  in(dy, tokens),
      out(dq, tokens), out(dk, tokens), out(dv, tokens),  out(delta, tokens), sees, at};
  const kernel::AttentionBackwardQueries<T, A, kernel::Padding, Positions> queries{common};
  launch("AttentionBackwardQueries", Sums::rounded, queries.rows(), queries, dq, delta);
  const kernel::AttentionBackwardKeys<T, A, kernel::Padding, Positions> keys{common};
  launch("AttentionBackwardKeys", Sums::rounded, keys.rows(), keys, dk, dv);
  const Index rows = layout.batch * positions;
  const kernel::AttentionBackwardPositions<T, A, kernel::Padding> all{common, out(dkey, rows), out(dquery, rows)};
  launch("AttentionBackwardPositions", Sums::rounded, all.rows(), all, dkey, dquery);
  const auto eighth = eighths<A>(layout.batch * positions * wide, 38);
  launch("SumSequences", Sums::exact, positions, kernel::SumSequences<T, A>{in(eighth, rows), layout.batch, out(sum, positions)}, sum);
}

/// A convolution along sequences, with padding and without.
template <class T, class Launch>
void sequence_kernels(Launch& launch) {
  const Index seq = 7, tokens = 2 * seq, channels = 6, taps = 5;
  const auto x = eighths<T>(tokens * channels, 41);
  std::vector<int> visible(std::size_t(tokens), 1);
  visible[2] = visible[6] = visible[7] = 0;
  auto y = eighths<T>(tokens * channels * taps, 42), z = x;
  for (const int* there : {static_cast<const int*>(nullptr), static_cast<const int*>(visible.data())}) {
    launch("UnfoldSequence", Sums::exact, tokens, kernel::UnfoldSequence<T>{in(x, tokens), there, seq, taps, out(y, tokens)}, y);
    launch("ClearPadding", Sums::exact, tokens, kernel::ClearPadding<T>{there, out(z, tokens)}, z);
  }
}

/// A score's last word, as an importance has it.
struct Mean {
  template <class A>
  ESPALIER_FN A finish(A sum, Index passes) const {
    return sum / A(float(passes));
  }
};

template <class T, class A, class Launch>
void score_kernels(Launch& launch) {
  const Index height = 53, width = 150, rank = 3;
  const auto w = eighths<T>(height * width, 31);
  const auto a = eighths<A>(rank * width, 32), b = eighths<A>(height * rank, 33), da = eighths<A>(rank * width, 34),
             db = eighths<A>(height * rank, 35);
  std::vector<StepState> state(1);
  state[0].clip = 0.5;
  for (const Power power : {Power::square, Power::abs}) {
    const kernel::LowRankSum<T, A> weight{in(w, height), in(b, height), in(a, rank), A(2)};
    const kernel::TaylorElement<T, A> element{weight, in(db, height), in(da, rank), A(0.25f),
                                              A(1),   power,          state.data()};
    auto by_row = eighths<A>(height, 36), by_column = eighths<A>(width, 37);
    const kernel::ScoreRows<kernel::TaylorElement<T, A>, A> rows{element, width, out(by_row)};
    launch("ScoreRows", Sums::exact, height, rows, by_row);
    const kernel::ScoreColumns<kernel::TaylorElement<T, A>, A> columns{element, height, out(by_column)};
    launch("ScoreColumns", Sums::exact, columns.blocks(), columns, by_column);
    const kernel::TaylorRows<T, A> tiled_rows{{element, out(by_row)}};
    launch("TaylorRows", Sums::exact, tiled_rows.blocks(), tiled_rows, by_row);
    const kernel::TaylorColumns<T, A> tiled_columns{{element, out(by_column)}};
    launch("TaylorColumns", Sums::exact, tiled_columns.blocks(), tiled_columns, by_column);
  }
  const auto y = eighths<T>(9 * width, 38), dy = eighths<T>(9 * width, 39);
  const auto bias = eighths<A>(width, 40);
  auto score = eighths<A>(width, 41);
  const kernel::SignedScore<T, A> sum{in(y, 9), in(dy, 9), in(bias), out(score)};
  launch("SignedScore", Sums::exact, sum.blocks(), sum, score);

  auto inputs = y, whole = y;
  inputs[5 * width + 3] = T(std::numeric_limits<float>::infinity());
  auto kept = std::vector<A>(9, A(9));
  launch("FiniteRows", Sums::exact, 9, kernel::FiniteRows<T, A>{in(inputs, 9), out(whole, 9), out(kept)}, whole, kept);
  auto squares = eighths<A>(width, 44);
  const kernel::ColumnSquares<T, A> columns{in(y, 9), out(squares)};
  launch("ColumnSquares", Sums::exact, columns.blocks(), columns, squares);

  const Index units = 40;
  const auto raw = eighths<A>(units * 4, 42);
  auto unit = std::vector<A>(std::size_t(units), A(9)), running = eighths<A>(units, 43);
  launch("UnitSums", Sums::exact, units, kernel::UnitSums<Mean, A>{{}, 2, 4, in(raw), out(unit)}, unit);
  auto alive = std::vector<A>(std::size_t(units), A(1));
  alive[7] = A(0);
  for (const bool normalise : {false, true}) {
    auto sums = running;
    launch("AddNormalised", Sums::rounded, 1,
           kernel::AddNormalised<A>{in(unit), in(alive), normalise, A(0.125f), out(sums)}, sums);
  }
  for (const bool finite : {true, false}) {
    auto fresh = unit, smooth = running;
    if (!finite) fresh[33] = std::numeric_limits<A>::infinity();
    std::vector<int> bad{7, 1};
    launch("Smooth", Sums::exact, 1, kernel::Smooth<A>{in(fresh), A(0.5f), A(0.25f), out(smooth), bad.data()}, smooth, bad);
  }
}

template <class T, class A, class Launch>
void hessian_kernels(Launch& launch) {
  const Index in_features = 72, height = 9, rank = 3;
  const auto products = eighths<A>(in_features * in_features, 45);
  const std::vector<A> tokens{A(16)}, bits{A(1), A(0), A(1)};
  const OutputMask<A> units{in(bits), in(bits), 12};  // three units, twice in a row
  std::vector<A> mean(1);
  launch("MeanDiagonal", Sums::rounded, 1,
         kernel::MeanDiagonal<A>{in(products, in_features), in(tokens), units, out(mean)}, mean);
  const std::vector<A> known{A(0.5f)};
  auto h = eighths<A>(in_features * in_features, 46);
  launch("DampedHessian", Sums::exact, in_features,
         kernel::DampedHessian<A>{in(products, in_features), in(tokens), units, in(known), A(0.25f), out(h, in_features)}, h);
  const auto w = eighths<T>(height * in_features, 47);
  const auto a = eighths<A>(rank * in_features, 48), b = eighths<A>(height * rank, 49),
             keep = eighths<A>(in_features, 50);
  auto y = eighths<A>(height * 12, 51);
  const kernel::LowRankSum<T, A> weight{in(w, height), in(b, height), in(a, rank), A(2)};
  launch("WeightColumns", Sums::exact, height, kernel::WeightColumns<T, A>{weight, 24, in(keep), out(y, height)}, y);
  auto living = eighths<A>(height * in_features, 52);
  launch("LivingColumns", Sums::exact, height, kernel::LivingColumns<A>{units, out(living, height)}, living);
}

template <class T, class A, class Launch>
void product_kernels(Launch& launch) {
  const auto a = eighths<T>(40 * 70, 51), b = eighths<T>(37 * 70, 52);
  auto c = eighths<A>(40 * 37, 53);
  auto d = eighths<T>(40 * 37, 54);
  const kernel::Product<T, T, A, A> wide{A(2), in(a, 40), in(b, 37).t(), A(0.5f), out(c, 40)};
  launch("Product", Sums::exact, wide.blocks(), wide, c);
  const auto adapter = eighths<A>(37 * 70, 55);  // beside activations of another type
  const kernel::Product<T, A, T, A> mixed{A(1), in(a, 40), in(adapter, 37).t(), A(0), out(d, 40)};
  launch("Product", Sums::exact, mixed.blocks(), mixed, d);
}

template <class A, class Launch>
void selection_kernels(Launch& launch) {
  const Index n = 9000;  // three chunks, and seventeen values: nothing but ties
  const auto scores = eighths<A>(n, 61);
  const Index chunks = kernel::Chunks{n}.count();
  std::vector<std::uint32_t> counts(std::size_t(chunks * kernel::DigitCounts<A>::kDigits));
  std::vector<kernel::Threshold<A>> threshold(1);
  std::vector<std::uint8_t> removed(std::size_t(n), 9);
  for (int shift = 8 * int(sizeof(A)) - 8; shift >= 0; shift -= 8) {
    launch("DigitCounts", Sums::exact, chunks,
           kernel::DigitCounts<A>{in(scores), threshold.data(), shift, out(counts, chunks)}, counts);
    launch("ChooseDigit", Sums::exact, 1, kernel::ChooseDigit<A>{in(counts, chunks), shift, 5000, threshold.data()},
           threshold);
  }
  launch("RemoveLowest", Sums::exact, chunks,
         kernel::RemoveLowest<A>{in(scores), threshold.data(), in(counts, chunks), out(removed)}, removed);

  // Blocks of four sizes, one to six weights, of which about half the weights leave.
  using Sizes = kernel::TwiceTheWeights;
  const Sizes sizes{{200, 125, 3, 2}};
  const auto means = eighths<A>(sizes.grid.count(), 62);
  const Index parts = kernel::Chunks{sizes.grid.count()}.count();
  std::vector<Index> weights(std::size_t(parts * kernel::DigitCounts<A, Sizes>::kDigits)), total(256);
  removed.assign(means.size(), 9);
  for (int shift = 8 * int(sizeof(A)) - 8; shift >= 0; shift -= 8) {
    launch("DigitCounts", Sums::exact, parts,
           kernel::DigitCounts<A, Sizes>{in(means), threshold.data(), shift, out(weights, parts), sizes}, weights);
    std::fill(total.begin(), total.end(), 0);
    launch("AddCounts", Sums::exact, 1, kernel::AddCounts<Index>{in(weights, parts), out(total, 1)}, total);
    launch("ChooseDigit", Sums::exact, 1, kernel::ChooseDigit<A, Index>{in(total, 1), shift, 25001, threshold.data()}, threshold);
  }
  launch("RemoveLowest", Sums::exact, parts,
         kernel::RemoveLowest<A, Sizes>{in(means), threshold.data(), in(weights, parts), out(removed), sizes}, removed);
  launch("SpendEquals", Sums::exact, 1, kernel::SpendEquals<A, Index>{in(weights, parts), threshold.data()}, threshold);
}

template <class A, class Launch>
void triangle_kernels(Launch& launch) {
  const Index n = 70;
  auto a = eighths<A>(n * n, 71);
  for (Index i = 0; i < n; ++i) a[std::size_t(i * n + i)] = A(100.0f);
  auto l = a, copy = eighths<A>(n * n, 72);
  launch("CholeskyBlock", Sums::rounded, 1, kernel::CholeskyBlock<A>{out(l, n)}, l);
  launch("CopyRows", Sums::exact, n, kernel::CopyRows<A>{in(a, n), out(copy, n)}, copy);
  launch("LowerTriangle", Sums::exact, n, kernel::LowerTriangle<A>{out(copy, n)}, copy);
}

template <class T, class A, class Launch>
void weight_kernels(Launch& launch) {
  const Index height = 5, width = 70, words = kernel::bit_words(width);
  std::vector<std::uint32_t> bits;
  for (Index i = 0; i < height * words; ++i) bits.push_back(0x9e3779b9u * std::uint32_t(i + 1));
  const auto w = eighths<T>(height * width, 71);
  const auto added = eighths<A>(height * width, 72);
  auto y = eighths<T>(height * width, 73);
  for (const bool masked : {false, true})
    for (const bool adapted : {false, true}) {
      launch("EffectiveWeight", Sums::exact, height,
             kernel::EffectiveWeight<T, A, T>{in(w, height), adapted ? in(added, height) : View<const A, 2>{},
                                              masked ? in(bits, height) : View<const std::uint32_t, 2>{}, out(y, height)},
             y);
    }
  y = w;
  launch("ZeroRemoved", Sums::exact, height, kernel::ZeroRemoved<T>{in(bits, height), out(y, height)}, y);
  const std::vector<int> rows{4, 0, 2}, columns{69, 3, 3, 0, 17, 33, 34, 35, 36, 1, 2, 5, 8, 13, 21, 34, 55, 4, 40, 41, 42,
                                                43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 60, 61};
  y = w;
  launch("OnlyRemoved", Sums::exact, height, kernel::OnlyRemoved<T>{in(bits, height), out(y, height)}, y);
  std::vector<std::uint32_t> gathered(6, 9);
  launch("GatherBits", Sums::exact, 3,
         kernel::GatherBits{in(bits, height), rows.data(), columns.data(), Index(columns.size()), out(gathered, 3)}, gathered);
}

template <class A, class Launch>
void weight_selection_kernels(Launch& launch) {
  const Index height = 5, width = 70, words = kernel::bit_words(width);
  std::vector<std::uint32_t> bits, chosen(std::size_t(height * words));
  for (Index i = 0; i < height * words; ++i) bits.push_back(0x9e3779b9u * std::uint32_t(i + 1));
  const auto score = eighths<A>(height * width, 81), g = eighths<A>(height * width, 82), column = eighths<A>(width, 83);
  auto x = score;
  std::vector<StepState> state(1);
  state[0].clip = 0.5;
  launch("ElementScore", Sums::exact, height,
         kernel::ElementScore<A>{in(g, height), in(column), A(0.5f), Power::square, state.data(), out(x, height)}, x);
  launch("RandomWeights", Sums::exact, height,
         kernel::RandomWeights<A>{{1, Purpose::importance, 2}, 3, out(x, height)}, x);
  std::vector<int> bad(1);
  launch("NotFinite", Sums::exact, 1, kernel::NotFinite<A>{in(score), bad.data()}, bad);
  x[33] = std::numeric_limits<A>::infinity();
  launch("NotFinite", Sums::exact, 1, kernel::NotFinite<A>{in(x), bad.data()}, bad);
  x = score;
  launch("GoneFirst", Sums::exact, height, kernel::GoneFirst<A>{in(bits, height), out(x, height)}, x);

  std::vector<std::uint8_t> removed(score.size(), 9);
  for (const Index k : {0, 31, 70})
    launch("LowestOfRow", Sums::exact, height, kernel::LowestOfRow<A>{in(score, height), k, out(removed, height)}, removed);
  launch("LowestOfGroups", Sums::exact, height, kernel::LowestOfGroups<A>{in(score, height), 8, 3, out(removed, height)}, removed);
  launch("PackKept", Sums::exact, height, kernel::PackKept{in(removed, height), out(chosen, height)}, chosen);

  const Index chunks = 3, digits = 256;
  std::vector<std::uint32_t> counts(std::size_t(chunks * digits), 5);
  std::vector<Index> total(std::size_t(digits), 2);
  launch("AddCounts", Sums::exact, 1, kernel::AddCounts<std::uint32_t>{in(counts, chunks), out(total, 1)}, total);
  std::vector<kernel::Threshold<A>> threshold{{kernel::OrderedKey<A>(7), 40}};
  launch("ChooseDigit", Sums::exact, 1, kernel::ChooseDigit<A, Index>{in(total, 1), 0, 900, threshold.data()}, threshold);
  launch("SpendEquals", Sums::exact, 1, kernel::SpendEquals<A>{in(counts, chunks), threshold.data()}, threshold);

  const kernel::BlockSums<A> sums{in(score, height), 4, 3, 9, {}};
  auto sum = eighths<A>(3 * 8, 84);
  auto block_sums = sums;
  block_sums.sum = out(sum, 3);
  launch("BlockSums", Sums::exact, block_sums.blocks(), block_sums, sum);
  std::vector<std::uint8_t> blocks;
  for (Index b = 0; b < 2 * 8; ++b) blocks.push_back(b % 3 == 0);
  launch("KeepBlocks", Sums::exact, height, kernel::KeepBlocks{in(blocks, 2), 3, 9, width, out(chosen, height)}, chosen);

  auto l = std::vector<A>(std::size_t(width * width), A(0.25f)), w = eighths<A>(height * width, 85);
  for (Index j = 0; j < width; ++j) l[std::size_t(j * width + j)] = A(j % 2 == 0 ? 2.0f : 1.0f);
  auto block_score = std::vector<A>(std::size_t(height * 34)), error = block_score;
  launch("BlockSaliency", Sums::exact, height,
         kernel::BlockSaliency<A>{in(w, height), in(l, width), 36, in(bits, height), out(block_score, height)}, block_score);
  for (const Index m : {0, 5}) {
    std::vector<std::uint8_t> leaves(std::size_t(height * 34));
    for (std::size_t n = 0; n < leaves.size(); n += 2) leaves[n] = 1;
    launch("SparseGptBlock", Sums::rounded, height,
           kernel::SparseGptBlock<A>{out(w, height), in(l, width), 36, m, 2, in(bits, height), out(leaves, height),
                                     out(error, height)},
           w, leaves, error);
  }
  x = score;
  launch("ChangeOfKept", Sums::exact, height, kernel::ChangeOfKept<A>{in(g, height), in(bits, height), out(x, height)}, x);
  const auto products = eighths<A>(width * width, 86);
  const std::vector<A> tokens{A(4)}, mean{A(0.5f)};
  auto h = products;
  for (const bool masked : {false, true})
    launch("KeptHessian", Sums::exact, width,
           kernel::KeptHessian<A>{in(products, width), in(tokens), in(mean), A(0.25f), masked ? bits.data() : nullptr, out(h, width)},
           h);
}

/// Every kernel that asks for a team, on inputs that reach its branches. Whoever adds one adds it here:
///   launch(name, exact or rounded, rows, kernel, outputs...)
/// T: what flows between modules, A: what sums are taken in.
template <class T, class A, class Launch>
void every_kernel(Launch& launch) {
  row_kernels<T, A>(launch);
  step_kernels<A>(launch);
  attention_kernels<T, A>(launch);
  position_kernels<T, A>(launch);
  sequence_kernels<T>(launch);
  score_kernels<T, A>(launch);
  hessian_kernels<T, A>(launch);
  product_kernels<T, A>(launch);
  selection_kernels<A>(launch);
  triangle_kernels<A>(launch);
  weight_kernels<T, A>(launch);
  weight_selection_kernels<A>(launch);
}

}  // namespace espalier::test
