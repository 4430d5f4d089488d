// SPDX-License-Identifier: MIT
#pragma once
// c = alpha a b + beta c for every combination of types that modules multiply, in every transpose, on parts of larger
// matrices. Of integers: any order of summation is exact.
#include <limits>

#include "parity/case.hpp"

namespace espalier::test::parity {

/// A matrix inside a larger one, so that rows do not follow each other; possibly stored as its transpose.
template <class Device, class T>
struct Placed {
  static constexpr Index kGap = 3, kFirst = 2;

  /// `numbers` fills all of the larger one.
  template <class Numbers>
  Placed(Device& device, Index height, Index width, bool transposed, const Numbers& numbers)
      : rows(transposed ? width : height), cols(transposed ? height : width), turned(transposed),
        all(on_device(device, numbers(rows * (cols + kGap)))) {}
  View<T, 2> view() {
    View<T, 2> v{all.data() + kFirst, {rows, cols}, {cols + kGap, 1}};
    return turned ? v.t() : v;
  }
  View<const T, 2> read() { return view(); }
  View<T, 1> everything() { return vector(all.data(), all.size()); }

  Index rows, cols;
  bool turned;
  typename Device::template Buffer<T> all;
};

struct ProductShape {
  Index rows, depth, cols;
};

/// P x Q -> R.
template <class Device, class P, class Q, class R>
void product(Judge& judge, const std::string& name) {
  using A = typename Device::Accumulate;
  constexpr Match match = std::is_same_v<R, typename Device::Activation> ? Match::rounded : Match::exact;
  struct Factors {
    double alpha, beta;
  };
  run_case<Device>(judge, "products/" + name + "/of integers", [&](Device& device, Thrice& thrice) {
    thrice([&](Outputs& out) {
      for (const ProductShape& s : {ProductShape{1, 1, 1}, {3, 5, 7}, {33, 31, 65}, {66, 130, 34}, {5, 1040, 3}})
        for (const int turns : {0, 1, 2, 3})
          for (const Factors f : {Factors{1, 0}, {-2, 0.5}}) {
            Placed<Device, P> a(device, s.rows, s.depth, turns & 1, [](Index n) { return integers<P>(n, 1, 8); });
            Placed<Device, Q> b(device, s.depth, s.cols, turns & 2, [](Index n) { return integers<Q>(n, 2, 8); });
            Placed<Device, R> c(device, s.rows, s.cols, false, [&](Index n) {
              auto x = integers<R>(n, 3, 8);
              const Index width = s.cols + Placed<Device, R>::kGap;
              if (f.beta == 0)  // never read: it may hold anything
                for (Index i = 0; i < s.rows; ++i)
                  for (Index j = 0; j < s.cols; ++j)
                    x[std::size_t(i * width + Placed<Device, R>::kFirst + j)] = R(std::numeric_limits<float>::quiet_NaN());
              return x;
            });
            device.gemm(A(f.alpha), a.read(), b.read(), A(f.beta), c.view());
            out.add(format("{} x {} x {}, {}{}, beta {}", s.rows, s.depth, s.cols, turns & 1 ? 'T' : 'N', turns & 2 ? 'T' : 'N', f.beta),
                    match, fetch(device, c.all.data(), c.all.size()));
          }
    });
  });
  run_case<Device>(judge, "products/" + name + "/of real numbers", [&](Device& device, Thrice& thrice) {
    const ProductShape s{65, 129, 33};
    const auto some = []<class T>(T, std::uint64_t seed) {
      return [seed](Index n) {
        if constexpr (std::is_same_v<T, typename Device::Activation>) return activations<Device>(n, seed);
        else return drawn<T>(n, seed);
      };
    };
    Placed<Device, P> a(device, s.rows, s.depth, false, some(P{}, 1));
    Placed<Device, Q> b(device, s.depth, s.cols, true, some(Q{}, 2));
    Placed<Device, R> c(device, s.rows, s.cols, false, some(R{}, 3));
    thrice([&](Outputs& out) {
      device.gemm(A(1), a.read(), b.read(), A(0), c.view());
      device.gemm(A(0.75), a.read(), b.read(), A(1), c.view());
      out.near(device, "a b", c.everything());
    });
  });
}

template <class Device>
void batched_product(Judge& judge) {
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "products/batched", [&](Device& device, Thrice& thrice) {
    const Index n = 3, rows = 33, depth = 17, cols = 9;
    auto a = on_device(device, integers<T>(n * rows * depth, 1, 8)), b = on_device(device, integers<T>(n * cols * depth, 2, 8));
    typename Device::template Buffer<T> c(device, n * rows * cols);
    const auto before = integers<T>(n * rows * cols, 3, 8);
    const View<const T, 3> x{a.data(), {n, rows, depth}, {rows * depth, depth, 1}},
        y{b.data(), {n, depth, cols}, {cols * depth, 1, depth}};
    const View<T, 3> z{c.data(), {n, rows, cols}, {rows * cols, cols, 1}};
    thrice([&](Outputs& out) {
      device.gemm(A(1), x, y, A(0), z);
      out.rounded(device, "a b", z);
      device.upload(c.data(), before.data(), c.size());
      device.gemm(A(2), x, y, A(-1), z);
      out.rounded(device, "2 a b - c", z);
    });
  });
}

template <class Device>
void products(Judge& judge) {
  using X = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  product<Device, X, W, X>(judge, "activation x weight -> activation");
  product<Device, X, X, A>(judge, "activation x activation -> accumulate");
  product<Device, A, A, A>(judge, "accumulate x accumulate -> accumulate");
  product<Device, X, A, A>(judge, "activation x accumulate -> accumulate");  // z = x Aᵀ, dz = dy B, dB += dyᵀ z
  product<Device, A, X, A>(judge, "accumulate x activation -> accumulate");  // dA += dzᵀ x
  product<Device, A, A, X>(judge, "accumulate x accumulate -> activation");  // y += z Bᵀ, dx += dz A
  batched_product<Device>(judge);
}

}  // namespace espalier::test::parity
