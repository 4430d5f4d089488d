// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include "device.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// How an operand lies in memory.
enum class Lies { by_rows, by_columns, with_gaps, columns_with_gaps, every_other };

Index size_of(Lies how, Index rows, Index cols) {
  return how == Lies::every_other ? 2 * rows * cols + 3 : (rows + 5) * (cols + 7) + 3;
}
template <class T>
View<T, 2> laid(T* data, Lies how, Index rows, Index cols) {
  switch (how) {
    case Lies::by_rows:
      return {data, {rows, cols}, {cols, 1}};
    case Lies::by_columns:
      return {data, {rows, cols}, {1, rows}};
    case Lies::with_gaps:
      return {data + 3, {rows, cols}, {cols + 5, 1}};
    case Lies::columns_with_gaps:
      return {data + 1, {rows, cols}, {1, rows + 3}};
    case Lies::every_other:
      return {data, {rows, cols}, {2 * cols, 2}};
  }
  return {};
}

struct Shape3 {
  Index rows, cols, depth;
};

/// c = alpha a b + beta c on the device and on the host; small whole numbers, so that both are exact.
template <class P, class Q, class R, class Device>
void check_product(Device& device, Shape3 s, Lies lie_a, Lies lie_b, Lies lie_c, float beta) {
  using A = typename Device::Accumulate;
  const int most = s.depth > 500 ? 1 : 3;
  const auto a = whole<P>(size_of(lie_a, s.rows, s.depth), most, 1);
  const auto b = whole<Q>(size_of(lie_b, s.depth, s.cols), most, 2);
  auto c = whole<R>(size_of(lie_c, s.rows, s.cols), 2, 3);
  if (beta == 0) {  // what is there must not be read
    const auto to = laid(c.data(), lie_c, s.rows, s.cols);
    for (Index i = 0; i < s.rows; ++i)
      for (Index j = 0; j < s.cols; ++j) to(i, j) = R(std::numeric_limits<float>::quiet_NaN());
  }
  auto on_a = there(device, a);
  auto on_b = there(device, b);
  auto on_c = there(device, c);
  const P* const pa = on_a.data();
  const Q* const pb = on_b.data();
  device.gemm(A(2), laid(pa, lie_a, s.rows, s.depth), laid(pb, lie_b, s.depth, s.cols), A(beta),
              laid(on_c.data(), lie_c, s.rows, s.cols));
  const auto got = seen(device, on_c.data(), on_c.size());
  const auto va = laid(a.data(), lie_a, s.rows, s.depth);
  const auto vb = laid(b.data(), lie_b, s.depth, s.cols);
  const auto vc = laid(c.data(), lie_c, s.rows, s.cols);
  for (Index i = 0; i < s.rows; ++i)
    for (Index j = 0; j < s.cols; ++j) {
      double sum = 0;
      for (Index k = 0; k < s.depth; ++k) sum += double(float(va(i, k))) * double(float(vb(k, j)));
      vc(i, j) = R(float(2 * sum + (beta == 0 ? 0 : double(beta) * double(float(vc(i, j))))));
    }
  Index wrong = 0;
  for (std::size_t n = 0; n < got.size(); ++n) wrong += float(got[n]) == float(c[n]) ? 0 : 1;
  CAPTURE(s.rows);
  CAPTURE(s.cols);
  CAPTURE(s.depth);
  CAPTURE(int(lie_a));
  CAPTURE(int(lie_b));
  CAPTURE(int(lie_c));
  CAPTURE(beta);
  CHECK(wrong == 0);  // gaps included: nobody wrote there
}

constexpr Lies every[] = {Lies::by_rows, Lies::by_columns, Lies::with_gaps, Lies::columns_with_gaps, Lies::every_other};

template <class P, class Q, class R, class Device>
void check_types(Device& device) {
  for (const Lies a : every)
    for (const Lies b : every)
      for (const Lies c : every)
        for (const Shape3 s : {Shape3{37, 29, 41}, Shape3{64, 128, 32}})
          for (const float beta : {0.0f, 1.0f, -0.5f}) check_product<P, Q, R>(device, s, a, b, c, beta);
  for (const Shape3 s : {Shape3{1, 1, 1}, Shape3{1, 300, 7}, Shape3{300, 1, 9}, Shape3{5, 6, 1}, Shape3{8, 512, 256},
                         Shape3{512, 8, 256}, Shape3{256, 256, 8}, Shape3{33, 65, 1000}, Shape3{3, 4, 0}})
    for (const Lies a : {Lies::by_rows, Lies::by_columns})
      for (const Lies b : {Lies::by_rows, Lies::by_columns})
        for (const float beta : {0.0f, 1.0f}) check_product<P, Q, R>(device, s, a, b, Lies::by_rows, beta);
}

}  // namespace

TEST_CASE("products of fp32, of every shape and transposition, equal the host's") {
  Cuda<float> device;
  check_types<float, float, float>(device);
}
TEST_CASE("products of fp64 equal the host's") {
  Cuda<double> device;
  check_types<double, double, double>(device);
}
TEST_CASE("products of bf16 into bf16 and into fp32 equal the host's") {
  Cuda<BFloat16> device;
  check_types<BFloat16, BFloat16, float>(device);
  check_types<BFloat16, BFloat16, BFloat16>(device);
}
TEST_CASE("products of adapters in fp32 beside activations in bf16 equal the host's") {
  Cuda<BFloat16> device;
  check_types<BFloat16, float, float>(device);
  check_types<float, BFloat16, float>(device);
  check_types<float, float, BFloat16>(device);
}
TEST_CASE("products of weights in bf16 and activations in fp32 equal the host's") {
  Cuda<float, BFloat16> device;
  check_types<float, BFloat16, float>(device);
}

TEST_CASE("a product has the same bits each time, and fp32 is not rounded to TF32") {
  Cuda<float> device;
  const Index n = 517;
  std::vector<float> x;
  for (Index i = 0; i < n * n; ++i) x.push_back(1.0f + float(300 + i % 7) * 0x1p-20f);  // one, for TF32
  auto a = there(device, x);
  std::vector<float> first;
  for (int round = 0; round < 4; ++round) {
    Cuda<float>::Buffer<float> c(device, n * n);
    device.gemm(1.0f, matrix<const float>(a.data(), n, n), matrix<const float>(a.data(), n, n), 0.0f, matrix(c.data(), n, n));
    const auto now = seen(device, c.data(), n * n);
    if (round == 0) first = now;
    CHECK(now == first);
  }
  double want = 0;
  for (Index k = 0; k < n; ++k) want += double(x[std::size_t(k)]) * double(x[std::size_t(k * n)]);
  CHECK(std::abs(double(first[0]) - want) < 1e-4 * want);  // in TF32 the error would be 6e-4
}

TEST_CASE("one product per element of a first axis") {
  Cuda<float> device;
  const auto x = whole<float>(3 * 4 * 5, 3, 5), w = whole<float>(3 * 5 * 6, 3, 6);
  auto on_x = there(device, x), on_w = there(device, w);
  Cuda<float>::Buffer<float> on_y(device, 3 * 4 * 6);
  device.gemm(1.0f, View<const float, 3>{on_x.data(), {3, 4, 5}, {20, 5, 1}},
              View<const float, 3>{on_w.data(), {3, 5, 6}, {30, 6, 1}}, 0.0f,
              View<float, 3>{on_y.data(), {3, 4, 6}, {24, 6, 1}});
  const auto y = seen(device, on_y.data(), on_y.size());
  for (Index p = 0; p < 3; ++p)
    for (Index i = 0; i < 4; ++i)
      for (Index j = 0; j < 6; ++j) {
        float sum = 0;
        for (Index k = 0; k < 5; ++k) sum += x[std::size_t(p * 20 + i * 5 + k)] * w[std::size_t(p * 30 + k * 6 + j)];
        CHECK(y[std::size_t(p * 24 + i * 6 + j)] == sum);
      }
}
