// SPDX-License-Identifier: MIT
// Masks on single weights: (W0 + s B A)∘M in forward, backward, merging and compaction.
#include <doctest/doctest.h>
#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/cpu.hpp>
#include <espalier/nn/merge.hpp>

#include "gradients.hpp"
#include "oracle_numbers.hpp"
#include "threads.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

/// Some bits of every row.
template <class Projection, class Device>
void mask_some(Projection& p, Device& device, std::uint64_t seed = 5) {
  p.allow_weight_mask(device, "p");
  const RandomStream stream{seed, Purpose::test};
  std::vector<std::uint32_t> words(std::size_t(p.weight_mask.bits().size()));
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = stream.bits(i);
  p.weight_mask.set(device, words);
}
template <class Device>
std::vector<double> kept_bits(const WeightMask<Device>& mask, Index out, Index in) {
  std::vector<double> bits;
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j) bits.push_back(kernel::kept(mask.bits().row(i), j) ? 1 : 0);
  return bits;
}
template <class Device>
void set_mask(WeightMask<Device>& mask, Device& device, const std::vector<double>& keep, Index out, Index in) {
  std::vector<std::uint32_t> words(std::size_t(out * kernel::bit_words(in)));
  for (Index i = 0; i < out; ++i)
    for (Index j = 0; j < in; ++j)
      if (keep[std::size_t(i * in + j)] != 0)
        words[std::size_t(i * kernel::bit_words(in) + j / 32)] |= std::uint32_t{1} << (j % 32);
  mask.set(device, words);
}

/// A projection as a module that knows the units of its outputs.
template <class Device, template <class> class Adapter>
struct Masked {
  using T = typename Device::Activation;
  using Activations = typename Linear<Device, Adapter>::Activations;
  Linear<Device, Adapter> linear;
  UnitMask<Device> units;
  bool with_units = false;

  OutputMask<T> mask() const { return with_units ? units.outputs(linear.out() / units.units()) : OutputMask<T>{}; }
  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act) const {
    return linear.forward(pass, x, act, mask());
  }
  void backward(Pass<Device>& pass, View<const T, 2> dy, Activations& act, View<T, 2> dx) {
    linear.backward(pass, dy, act, dx, mask());
  }
  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f("linear", self.linear);
  }
};

template <template <class> class Adapter>
void check_gradients(bool bias, bool with_units) {
  const auto make = [=](auto& device) {
    using Device = std::remove_reference_t<decltype(device)>;
    typename Adapter<Device>::Options options{};
    if constexpr (requires { options.rank; }) options = {.rank = 3, .alpha = 6};
    Masked<Device, Adapter> m{{device, 37, 22, bias, "p", options}, {device, 11}, with_units};
    m.units.set(device, {1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1});
    mask_some(m.linear, device);
    return m;
  };
  const Shape shape{2, 5};
  const auto exact = complex_step_gradients(make, shape, 37);
  for (std::size_t i = 0; i < exact.tensors.size(); ++i) CHECK(exact.norm(i) > 0);
  CHECK(worst_error(backward_gradients<Real>(make, shape, 37), exact) <= 1e-12);
  CHECK(worst_error(backward_gradients<Cpu<double>>(make, shape, 37), exact) <= 1e-12);
}

}  // namespace

TEST_CASE("gradients through a mask on weights are those of the complex step: beside, behind and without an adapter") {
  for (const bool bias : {false, true}) {
    check_gradients<LowRankAdapter>(bias, false);
    check_gradients<Frozen>(bias, false);
    for (const bool units : {false, true}) check_gradients<SequentialAdapter>(bias, units);
  }
}

TEST_CASE_TEMPLATE("loss and gradients under the oracle's mask are the oracle's", Device, Oracle<double>, Cpu<double>) {
  const auto& want = oracle_numbers()["parallel"];
  const ParallelCase c;
  Device device;
  auto model = c.model(device, Axis::rows, 1);
  auto& p = model.projection;
  p.allow_weight_mask(device, "p");
  const double whole = model.loss(c.x, c.y);
  CHECK(std::abs(whole - double(want["loss"])) <= 1e-12);
  model.zero_gradients();

  set_mask(p.weight_mask, device, numbers(want["topk_mask_50_lora_sq"]), c.out, c.in);
  CHECK(p.weight_mask.removed() == 24);
  CHECK(std::abs(model.loss(c.x, c.y) / double(want["loss_weight_masked"]) - 1) <= 1e-12);
  CHECK(relative_error(as_doubles(p.adapter.a.grad), numbers(want["unstructured_weight_mask"]["grad_A"])) <= 1e-12);
  CHECK(relative_error(as_doubles(p.adapter.b.grad), numbers(want["unstructured_weight_mask"]["grad_B"])) <= 1e-12);

  SUBCASE("straight through, gradients are those of all weights at the masked loss") {
    model.zero_gradients();
    p.weight_mask.straight_through = true;
    model.loss(c.x, c.y);
    CHECK(relative_error(as_doubles(p.adapter.b.grad), numbers(want["unstructured_weight_mask"]["grad_B"])) > 1e-2);
  }
}

namespace {

template <template <class> class Adapter>
void check_merged(double bound) {
  Cpu<double> device;
  Single<Cpu<double>, Adapter> model(device, 70, 45, true, {.rank = 3, .alpha = 6}, Axis::rows, 1);
  randomise(model, 3);
  mask_some(model.projection, device);
  std::vector<double> x(45 * 4), target(70 * 4);
  fill(x.data(), Index(x.size()), 7), fill(target.data(), Index(target.size()), 8);
  const double masked = model.loss(x, target);
  const auto keep = kept_bits(model.projection.weight_mask, 70, 45);
  merge(model);
  for (Index i = 0; i < 70; ++i)
    for (Index j = 0; j < 45; ++j)
      CHECK((model.projection.weight.view()(i, j) != 0) == (keep[std::size_t(i * 45 + j)] != 0));
  CHECK(std::abs(model.loss(x, target) / masked - 1) <= bound);
  const WeightMask<Cpu<double>> mask = std::exchange(model.projection.weight_mask, {});
  CHECK(std::abs(model.loss(x, target) / masked - 1) <= bound);
  model.projection.weight_mask = WeightMask<Cpu<double>>(device, 70, 45);
  set_mask(model.projection.weight_mask, device, keep, 70, 45);
  unmerge(model);
  CHECK(std::abs(model.loss(x, target) / masked - 1) <= 10 * bound);
}

}  // namespace

TEST_CASE("masked == merged with zeros, beside and behind the weight; and unmerged it is the same function") {
  check_merged<LowRankAdapter>(1e-12);
  check_merged<SequentialAdapter>(1e-12);
}

TEST_CASE("a mask that keeps everything changes no bit and no gradient, and takes no other way") {
  const ParallelCase c;
  Cpu<float> device;
  auto plain = c.model(device, Axis::rows, 1), with = c.model(device, Axis::rows, 1);
  with.projection.allow_weight_mask(device, "p");
  CHECK(!with.projection.weight_mask);
  CHECK(plain.loss(c.x, c.y) == with.loss(c.x, c.y));
  CHECK(as_doubles(plain.projection.adapter.a.grad) == as_doubles(with.projection.adapter.a.grad));
}

TEST_CASE("one thread == three threads, bit for bit; no matrix of the weight's shape is ever taken; a second pass allocates nothing") {
  using Device = Cpu<float, BFloat16>;
  const Index out = 1500, in = 2050, tokens = 7;  // panels that do not come out even
  std::vector<std::vector<double>> runs;
  for (const int threads : {1, 3}) {
    use_threads(threads);
    Device device;
    Single<Device> model(device, out, in, true, {.rank = 4, .alpha = 8}, Axis::rows, 1);
    randomise(model, 3);
    mask_some(model.projection, device);
    std::vector<double> x(std::size_t(in * tokens)), target(std::size_t(out * tokens));
    fill(x.data(), Index(x.size()), 7), fill(target.data(), Index(target.size()), 8);
    std::vector<double> run{model.loss(x, target)};
    const Index peak = model.run.workspace.peak();
    CHECK(peak < 3 * (Index{1} << 20) * 4);
    CHECK(peak < out * in * 4);
    model.loss(x, target);
    CHECK(model.run.workspace.peak() == peak);
    for (const auto& g : {as_doubles(model.projection.adapter.a.grad), as_doubles(model.projection.adapter.b.grad)})
      run.insert(run.end(), g.begin(), g.end());
    runs.push_back(run);
  }
  use_threads(2);
  CHECK(runs[0] == runs[1]);
}

TEST_CASE("rows and columns that leave take their bits along") {
  Oracle<double> device;
  WeightMask<Oracle<double>> mask(device, 5, 70);
  std::vector<double> keep(5 * 70);
  for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = i % 3 == 0 || i % 7 == 0;
  set_mask(mask, device, keep, 5, 70);
  std::vector<int> rows{0, 3, 4}, columns;
  for (int j = 0; j < 70; j += 2) columns.push_back(j);
  mask.compact(device, rows.data(), nullptr, 3, 70);
  mask.compact(device, nullptr, columns.data(), 3, 35);
  std::vector<double> want;
  Index removed = 0;
  for (const int i : rows)
    for (const int j : columns) want.push_back(keep[std::size_t(i * 70 + j)]), removed += want.back() == 0;
  CHECK(kept_bits(mask, 3, 35) == want);
  CHECK(mask.removed() == removed);
}

TEST_CASE("adapter dropout together with a mask on weights is refused, and so are words of another shape") {
  Cpu<float> device;
  Linear<Cpu<float>, LowRankAdapter> p(device, 8, 4, false, "q_proj", {.rank = 2, .dropout = 0.1});
  CHECK_THROWS_WITH_AS(p.allow_weight_mask(device, "q_proj"), doctest::Contains("q_proj: its adapter has dropout 0.1"), Error);
  Single<Cpu<float>> model(device, 4, 8, false, {.rank = 2, .dropout = 0.1}, Axis::rows, 1);
  model.projection.weight_mask = WeightMask<Cpu<float>>(device, 4, 8);
  model.projection.weight_mask.set(device, {1u, 2u, 3u, 4u});
  CHECK_THROWS_WITH_AS(model.loss(std::vector<double>(8), std::vector<double>(4)), doctest::Contains("its rate is 0.1"), Error);
  WeightMask<Cpu<float>> mask(device, 4, 8);
  CHECK_THROWS_AS(mask.set(device, {1u}), Error);
}
