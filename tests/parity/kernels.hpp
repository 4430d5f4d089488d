// SPDX-License-Identifier: MIT
#pragma once
// Single kernels whose results are exact on every device: what moves, chooses, counts and draws.
#include <espalier/adapter/low_rank.hpp>
#include <espalier/kernel/gather.hpp>
#include <espalier/kernel/loss.hpp>
#include <espalier/nn/group.hpp>
#include <espalier/nn/rotary.hpp>
#if __has_include(<espalier/prune/select_lowest.hpp>)
#include <espalier/prune/mask.hpp>
#include <espalier/prune/select_lowest.hpp>
#endif

#include "parity/case.hpp"

namespace espalier::test::parity {

struct DrawWords {
  RandomStream stream;
  std::uint32_t* word;
  double* uniform;
  ESPALIER_FN void operator()(Index i) const {
    const auto at = std::uint64_t(i) * 0x10001ull;  // beyond 32 bits, too
    word[i] = stream.bits(at), uniform[i] = stream.uniform(at);
  }
};

template <class Device>
void random_numbers(Judge& judge) {
  run_case<Device>(judge, "kernels/Philox", [](Device& device, Thrice& thrice) {
    const Index n = 70000;
    typename Device::template Buffer<std::uint32_t> words(device, n);
    typename Device::template Buffer<double> uniforms(device, n);
    thrice([&](Outputs& out) {
      device.for_each(n, DrawWords{{0x123456789abcdefull, Purpose::test, 77, 5}, words.data(), uniforms.data()});
      out.exact(device, "words", vector(words.data(), 1000));
      out.exact(device, "last words", vector(words.data() + n - 1000, 1000));
      out.exact(device, "uniforms", vector(uniforms.data(), 1000));
    });
  });
}

template <class Device>
void moves(Judge& judge) {
  using X = typename Device::Activation;
  using W = typename Device::Weight;
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "kernels/what moves numbers", [](Device& device, Thrice& thrice) {
    const Index rows = 37, cols = 45;
    auto table = on_device(device, drawn<W>(rows * cols, 1));
    auto lower = on_device(device, drawn<A>(rows * cols, 2));
    auto counts = on_device(device, integers<X>(rows * cols, 3, 100));
    auto bias = on_device(device, integers<A>(cols, 4, 20));
    auto some_rows = on_device(device, std::vector<int>{3, 36, 0, 3, 17}), some_cols = on_device(device, std::vector<int>{44, 1, 0, 31, 32, 33});
    typename Device::template Buffer<W> gathered(device, rows * cols);
    typename Device::template Buffer<X> x(device, rows * cols);
    typename Device::template Buffer<A> a(device, rows * cols);
    const auto from = matrix<const W>(table.data(), rows, cols);
    const auto picks = [&](Outputs& out, const char* name, const int* r, const int* c) {
      const auto to = matrix(gathered.data(), r ? some_rows.size() : rows, c ? some_cols.size() : cols);
      device.for_each_row(to.rows(), kernel::Gather<W>{from, r, c, to});
      out.exact(device, name, to);
    };
    thrice([&](Outputs& out) {
      picks(out, "gather all", nullptr, nullptr);
      picks(out, "gather rows", some_rows.data(), nullptr);
      picks(out, "gather columns", nullptr, some_cols.data());
      picks(out, "gather both", some_rows.data(), some_cols.data());
      const auto embedded = matrix(x.data(), some_rows.size(), cols);
      device.for_each_row(embedded.rows(), kernel::Embed<X, W>{from, some_rows.data(), embedded});
      out.rounded(device, "embed", embedded);
      device.for_each(rows * cols, kernel::Fill<A>{a.data(), A(0.75)});
      out.exact(device, "fill", vector(a.data(), rows * cols));
      device.for_each(rows * cols, kernel::Copy<A, A>{lower.data(), a.data()});
      device.for_each(rows * cols, kernel::Accumulate<A>{lower.data(), a.data()});
      out.exact(device, "copy and add", vector(a.data(), rows * cols));
      device.for_each(rows * cols, kernel::Copy<X, X>{counts.data(), x.data()});
      device.for_each(rows * cols, kernel::Accumulate<X>{counts.data(), x.data()});
      device.for_each_row(rows, kernel::AddBias<X, A>{{bias.data(), {cols}, {1}}, matrix(x.data(), rows, cols)});
      out.rounded(device, "copy, add, add bias", vector(x.data(), rows * cols));
      auto total = on_device(device, std::vector<A>{A(5)});
      device.for_each_row(1, kernel::SumInto<A>{{bias.data(), {cols}, {1}}, total.data()});
      out.exact(device, "sum of integers", vector(total.data(), 1));
    });
  });
}

template <class Device>
void masks(Judge& judge) {
  run_case<Device>(judge, "kernels/masks", [](Device& device, Thrice& thrice) {
    UnitMask<Device> mask(device, 77), through(device, 77);
    thrice([&](Outputs& out) {
      mask.set(device, all_but_every(3, 77));
      through.set(device, all_but_every(5, 77), /*straight_through=*/true);
      out.exact(device, "forward", mask.forward());
      out.exact(device, "backward", mask.backward());
      out.exact(device, "forward, straight-through", through.forward());
      out.exact(device, "backward, straight-through", through.backward());
      UnitMask<Device> smaller(device, 77);
      smaller.set(device, mask.alive());
      smaller.compact(device);
      out.exact(device, "compacted", smaller.forward());
    });
  });
}

/// Which coordinates are dropped, and what becomes of the others: the factor is a power of two.
template <class Device>
void dropout(Judge& judge) {
  using X = typename Device::Activation;
  run_case<Device>(judge, "kernels/dropout", [](Device& device, Thrice& thrice) {
    const Index rows = 19, cols = 67;
    auto x = on_device(device, integers<X>(rows * cols, 1, 9));
    auto origin = std::vector<int>(std::size_t(cols));
    for (std::size_t j = 0; j < origin.size(); ++j) origin[j] = int(3 * j + 1);
    auto columns = on_device(device, origin);
    typename Device::template Buffer<X> y(device, rows * cols);
    typename Device::template Buffer<StepState> state(device, 1);
    const auto in = matrix<const X>(x.data(), rows, cols);
    const auto result = matrix(y.data(), rows, cols);
    thrice([&](Outputs& out) {
      for (const StepState& s : {StepState{.seed = 7}, {.seed = 0xfedcba9876543210ull, .step = 900, .micro = 3}}) {
        device.upload(state.data(), &s, 1);
        const std::string at = format(" in step {}", s.step);
        device.for_each_row(rows, kernel::Dropout<X>{in, 0.5, 2, state.data(), nullptr, cols, false, result});
        out.rounded(device, "half of them" + at, result);
        device.for_each_row(rows, kernel::Dropout<X>{in, 0.75, 2, state.data(), columns.data(), 3 * cols, true, result});
        out.rounded(device, "three quarters, compacted, added" + at, result);
      }
    });
  });
}

template <class Device>
void rotary_tables(Judge& judge) {
  run_case<Device>(judge, "kernels/rotary tables", [](Device& device, Thrice& thrice) {
    using A = typename Device::Accumulate;
    const RotaryOptions plain{.theta = 10000}, linear{.theta = 500, .scaling = RotaryOptions::Scaling::linear, .factor = 4},
        llama3{.theta = 500000, .scaling = RotaryOptions::Scaling::llama3, .factor = 8};
    Rotary<Device> a(device, 16, plain), b(device, 16, linear), c(device, 16, llama3);
    Workspace<Device> workspace(device);
    thrice([&](Outputs& out) {
      Pass<Device> pass(workspace, {1, 67});
      int n = 0;
      for (const auto* rotary : {&a, &b, &c}) {
        const auto angles = rotary->angles(pass);
        const std::string at = format(" {}", n++);
        out.near(device, "cosine" + at, angles.cosine);
        out.near(device, "sine" + at, angles.sine);
        out.exact(device, "cosine of position 0" + at, vector<const A>(angles.cosine.data, 8));
        out.exact(device, "sine of position 0" + at, vector<const A>(angles.sine.data, 8));
      }
    });
  });
}

#if __has_include(<espalier/prune/select_lowest.hpp>)
template <class Device>
void selection(Judge& judge) {
  using A = typename Device::Accumulate;
  run_case<Device>(judge, "kernels/selection", [](Device& device, Thrice& thrice) {
    const Index n = 9001;
    auto drawn_scores = drawn<A>(n, 5, 3);
    const auto few = integers<A>(n, 6, 2), equal = std::vector<A>(std::size_t(n), A(1));
    for (std::size_t i = 0; i < drawn_scores.size(); i += 97) drawn_scores[i] = i % 2 ? A(0) : -A(0);
    typename Device::template Buffer<A> scores(device, n);
    typename Device::template Buffer<std::uint8_t> removed(device, n);
    Workspace<Device> workspace(device);
    thrice([&](Outputs& out) {
      struct Scores {
        const char* name;
        const std::vector<A>& numbers;
      };
      for (const auto& [name, numbers] : {Scores{"different", drawn_scores}, {"of few values", few}, {"equal", equal}})
        for (const Index k : {Index{0}, Index{1}, Index{4500}, n}) {
          device.upload(scores.data(), numbers.data(), n);
          Pass<Device> pass(workspace, {});
          select_lowest(pass, View<const A, 1>(vector(scores.data(), n)), k, vector(removed.data(), n));
          auto bits = fetch(device, removed.data(), n);
          const auto keep = keep_all_but_lowest(as_doubles(numbers), k);
          std::vector<double> expected;
          for (const auto b : keep) expected.push_back(b ? 0 : 1);
          out.agree(format("the host chooses the same: {} lowest, scores {}", k, name), std::move(bits), std::move(expected), Match::exact);
        }
    });
  });
}
#endif

template <class Device>
void kernels(Judge& judge) {
  random_numbers<Device>(judge);
  moves<Device>(judge);
  masks<Device>(judge);
  dropout<Device>(judge);
  rotary_tables<Device>(judge);
#if __has_include(<espalier/prune/select_lowest.hpp>)
  selection<Device>(judge);
#endif
}

}  // namespace espalier::test::parity
