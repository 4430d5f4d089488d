// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <cstdint>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/core/random.hpp>
#include <espalier/core/visit.hpp>
#include <espalier/kernel/term.hpp>
#include <numbers>
#include <vector>

namespace espalier::inline v0 {

/// Two uniform numbers make a normal one: √(−2 ln u) cos 2πv.                                         Box & Muller 1958
inline double normal(const RandomStream& stream, std::uint64_t i) {
  const double u = stream.uniform(2 * i), v = stream.uniform(2 * i + 1);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

/// Fresh adapters: B = 0, so that nothing changes at first; A uniform in ±1/√in, or normal with deviation 1/rank.
/// Each adapter gets its stream of random numbers: the number of its projection in the model, whichever others have
/// one. Its A is a function of (seed, that number, row, column of the uncompacted model). The seed becomes that of the
/// run.
template <class Model>
void initialise(Model& model, std::uint64_t seed, AdapterInit how) {
  auto& run = model.run;
  using A = typename Model::DeviceType::Accumulate;
  run.step.seed = seed;
  run.publish();
  std::uint32_t number = 0;
  for_each_projection(model, [&](const std::string&, auto& projection) {
    auto& adapter = projection.adapter;
    const std::uint32_t which = number++;
    if constexpr (AddsTerm<decltype(projection.adapter)>) {
      if (!adapter.active()) return;
      const std::vector<A> zeros(std::size_t(adapter.b.size()));
      run.device->upload(adapter.b.value.data, zeros.data(), adapter.b.size());
    }
    if constexpr (requires { adapter.stream; }) {
      if (!adapter.active()) return;
      adapter.stream = which;
      const RandomStream stream{seed, Purpose::initialisation, which};
      const Index rank = adapter.a.rows, in = adapter.a.cols, full = adapter.full_in;
      std::vector<int> origin(adapter.origin.empty() ? 0 : std::size_t(in));
      if (!origin.empty()) run.device->download(adapter.origin.view().data, origin.data(), in);
      const double bound = 1 / std::sqrt(double(full));
      std::vector<A> a(std::size_t(rank * in));
      for (Index i = 0; i < rank; ++i)
        for (Index j = 0; j < in; ++j) {
          const auto at = std::uint64_t(i * full + (origin.empty() ? j : origin[std::size_t(j)]));
          const double x = how == AdapterInit::gaussian ? normal(stream, at) / double(rank)
                                                        : bound * (2 * stream.uniform(at) - 1);
          a[std::size_t(i * in + j)] = A(x);
        }
      run.device->upload(adapter.a.value.data, a.data(), rank * in);
    }
  });
}
/// As the model's adapter options say.
template <class Model>
void initialise(Model& model, std::uint64_t seed = 0) {
  AdapterInit how = AdapterInit::peft;
  if constexpr (requires { model.adapter.init; }) how = model.adapter.init;
  initialise(model, seed, how);
}

}  // namespace espalier::inline v0
