// SPDX-License-Identifier: MIT
// One training step on a GPU, for blocks of the shape of Llama 3 8B in bf16: tokens a second, and which share of the speed
// of light that is: the necessary matrix products, each at the rate that cuBLASLt reaches on its shape in this run.
//   cuda_step [--layers N] [--batch N] [--seq N] [--vocab N] [--rank N] [--steps N]       the same in PyTorch: peer_torch_cuda.py
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <espalier/adapter/low_rank.hpp>
#include <espalier/backend/cuda.hpp>
#include <espalier/core/random.hpp>
#include <espalier/model/llama.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/adamw.hpp>
#include <espalier/train/clip.hpp>
#include <optional>
#include <string_view>

using namespace espalier;

namespace {

using Device = Cuda<BFloat16>;
using Model = Llama<Device, LowRankAdapter>;

struct Request {
  Index layers = 4, batch = 4, seq = 1024, vocab = 32000, rank = 8, steps = 10;
};

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

/// Uniform numbers of standard deviation `deviation`.
template <class T>
struct Draw {
  RandomStream stream;
  double deviation;
  T* x;
  ESPALIER_FN void operator()(Index i) const {
    x[i] = T(float((2 * stream.uniform(std::uint64_t(i)) - 1) * 1.7320508 * deviation));
  }
};

/// Seconds of f, repeated for a while, when the device has nothing else to do.
template <class F>
double seconds_of(Device& device, int rounds, F&& f) {
  for (int r = 0; r < 3; ++r) f();  // chosen, recorded, warm
  device.system().wait();
  const double begin = now();
  for (int r = 0; r < rounds; ++r) f();
  device.system().wait();
  return (now() - begin) / rounds;
}

/// The products of a step with a frozen base: y = x Wᵀ and dx = dy W of every linear map, logits and their gradient.
class Light {
 public:
  Light(Device& device, const LlamaConfig& c, Index tokens) : device_(device) {
    const Index most = std::max(c.feed_forward, c.hidden);
    const Index wide = c.heads * c.head_dim, narrow = c.groups * c.head_dim;
    x_ = Numbers(device, tokens * most), y_ = Numbers(device, tokens * most);
    w_ = Numbers(device, std::max(most * c.hidden, c.vocab * c.hidden));
    for (auto* numbers : {&x_, &w_})
      device.for_each(numbers->size(), Draw<BFloat16>{{1, Purpose::test}, 0.02, numbers->data()});
    const double layers = double(c.layers);
    add(tokens, c.hidden, wide, layers, layers - 1);                              // q
    add(tokens, c.hidden, narrow, 2 * layers, 2 * (layers - 1));                  // k, v: nobody is below the first block
    add(tokens, wide, c.hidden, layers, layers);                                  // o
    add(tokens, c.hidden, c.feed_forward, 2 * layers, 2 * layers);                // gate, up
    add(tokens, c.feed_forward, c.hidden, layers, layers);                        // down
    const Index some = logit_rows(c.vocab, tokens);
    const double parts = double(tokens) / double(some);
    logits_ = Numbers(device, some * c.vocab);
    add(some, c.hidden, c.vocab, parts, parts);
  }
  /// Attention: two products forward and five backward over the keys that a query sees, at the best rate of all.
  void add_attention(const LlamaConfig& c, Shape shape) {
    const double pairs = double(shape.batch) * double(shape.seq) * double(shape.seq + 1) / 2;
    const double work = 7 * 2 * pairs * double(c.heads * c.head_dim) * double(c.layers);
    flops += work, seconds += work / best;
  }

  double flops = 0, seconds = 0, best = 0;  // best: flops a second

 private:
  using Numbers = Device::Buffer<BFloat16>;
  void add(Index tokens, Index in, Index out, double forward, double backward) {
    BFloat16* const target = logits_.size() > 0 ? logits_.data() : y_.data();
    const View<const BFloat16, 2> x = matrix<const BFloat16>(x_.data(), tokens, in), w = matrix<const BFloat16>(w_.data(), out, in);
    const View<const BFloat16, 2> dy = matrix<const BFloat16>(target, tokens, out);
    const double there = seconds_of(device_, 20, [&] { device_.gemm(1.0f, x, w.t(), 0.0f, matrix(target, tokens, out)); });
    const double back = seconds_of(device_, 20, [&] { device_.gemm(1.0f, dy, w, 0.0f, matrix(x_.data(), tokens, in)); });
    const double work = 2 * double(tokens) * double(in) * double(out);
    std::printf("  product %6td x %5td -> %6td   forward %7.1f TFLOP/s   backward %7.1f TFLOP/s\n", tokens, in, out,
                work / there * 1e-12, work / back * 1e-12);
    flops += (forward + backward) * work, seconds += forward * there + backward * back;
    best = std::max(best, work / std::min(there, back));
  }
  Device& device_;
  Numbers x_, y_, w_, logits_;
};

double copied_bytes_a_second(Device& device) {
  const Index n = Index{1} << 28;
  Device::Buffer<float> a(device, n), b(device, n);
  const double t = seconds_of(device, 10, [&] { device.for_each(n, kernel::Copy<float, float>{a.data(), b.data()}); });
  return 2 * double(n) * sizeof(float) / t;
}

void run(const Request& r) {
  Device device;
  const auto& facts = device.system().facts();
  const Shape shape{r.batch, r.seq};
  const LlamaConfig config{.vocab = r.vocab, .hidden = 4096, .layers = r.layers, .heads = 32, .groups = 8, .head_dim = 128,
                           .feed_forward = 14336};
  std::printf("%s: %td layers, %td x %td tokens, rank %td, bf16\n", facts.name.c_str(), r.layers, r.batch, r.seq, r.rank);
  const double bandwidth = copied_bytes_a_second(device);
  double flops = 0, light = 0;
  {
    Light products(device, config, shape.tokens());
    products.add_attention(config, shape);
    flops = products.flops, light = products.seconds;
  }
  std::printf("  copies %.2f TB/s   necessary %.1f TFLOP a step, %.2f ms at the speed of light\n", bandwidth * 1e-12,
              flops * 1e-12, light * 1e3);

  for (const bool scores : {false, true}) {
    device.system().forget_memory_peak();
    Model model(device, config, {.rank = r.rank, .alpha = 16});
    std::uint32_t which = 0;
    for_each_tensor(model, [&](const std::string& name, auto& t) {
      auto* const data = t.view().data;
      using T = std::remove_pointer_t<decltype(data)>;
      if (name.find("norm") == std::string::npos)
        device.for_each(t.size(), Draw<T>{{1, Purpose::test, ++which}, 1.0 / 64, data});
    });
    for_each_parameter(model, [&](const std::string&, auto& p) {  // B is not zero: the work of every step is the steady one
      device.for_each(p.size(), Draw<float>{{2, Purpose::test, ++which}, 1e-2, p.value.data});
    });
    std::vector<int> ids;
    std::uint64_t seed = 1;
    for (Index i = 0; i <= shape.tokens(); ++i)
      ids.push_back(int((seed = seed * 6364136223846793005ull + 1442695040888963407ull) >> 33) % int(r.vocab));
    const auto n = std::size_t(shape.tokens());
    const Batch batch{{ids.data(), n}, {ids.data() + 1, n}, shape};
    AdamW optimizer(model, {.rate = 1e-4});
    using Pruning = Pruner<Model, TaylorImportance, EMAMask, CubicSchedule>;
    std::optional<Pruning> pruner;
    if (scores)
      pruner.emplace(model, TaylorImportance{}, EMAMask{.decay = 0.9},
                     CubicSchedule{.begin = 0, .end = 1000, .sparsity = 0.2}, PrunerOptions{.every = 10});
    const double t = seconds_of(device, int(r.steps), [&] {
      model.loss(batch);
      clip(model, 1.0);
      if (pruner) pruner->step();
      optimizer.step();
    });
    StepState seen = model.run.look();
    std::printf("%-22s %9.2f ms   %9.0f tokens/s   %6.1f TFLOP/s   %5.1f %% of the speed of light   peak %.2f GiB\n",
                scores ? "step with scores" : "step", t * 1e3, double(n) / t, flops / t * 1e-12, 100 * light / t,
                double(device.system().memory_peak()) / 1073741824);
    std::printf("{\"device\": \"%s\", \"scores\": %s, \"layers\": %td, \"tokens\": %td, \"step_ms\": %.4f, \"tokens_per_second\": %.1f, "
                "\"tflops\": %.2f, \"speed_of_light\": %.4f, \"copy_tb_per_second\": %.3f, \"peak_bytes\": %td, \"norm\": %.4g}\n",
                facts.name.c_str(), scores ? "true" : "false", r.layers, shape.tokens(), t * 1e3, double(n) / t,
                flops / t * 1e-12, light / t, bandwidth * 1e-12, device.system().memory_peak(), seen.norm);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  Request r;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    Index* const to = name == "--layers" ? &r.layers : name == "--batch" ? &r.batch : name == "--seq" ? &r.seq
                      : name == "--vocab" ? &r.vocab : name == "--rank" ? &r.rank : name == "--steps" ? &r.steps : nullptr;
    if (to == nullptr) fail(Errc::usage, "unknown option {}", argv[i]);
    *to = Index(std::atoll(argv[i + 1]));
  }
  run(r);
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return error.code() == Errc::resources ? 5 : 1;
}
