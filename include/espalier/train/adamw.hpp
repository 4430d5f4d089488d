// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/core/run_state.hpp>
#include <espalier/kernel/adamw.hpp>

namespace espalier::inline v0 {

struct AdamWOptions {
  double rate = 1e-4;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double decay = 0;  ///< decoupled weight decay
};

/// Adam with decoupled weight decay, over the model's whole arena in one kernel.               Loshchilov & Hutter 2019
/// A step spends the gradients: they are zero afterwards. The rate and the bias corrections travel in the StepState.
///
///     AdamW optimizer(model, {.rate = 1e-4});
///     model.loss(batch);
///     optimizer.step();
template <class Model>
class AdamW {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;

  explicit AdamW(Model& model, const AdamWOptions& o = {}) : options(o), model_(&model) {
    require(o.rate >= 0 && o.eps >= 0 && o.decay >= 0, "AdamW: rate {}, eps {}, decay {}; none may be negative", o.rate,
            o.eps, o.decay);
    require(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1,
            "AdamW: beta1 {}, beta2 {}; expected 0 <= beta < 1", o.beta1, o.beta2);
    for (int k = 0; k < 2; ++k) model.run.arena.moment(*model.run.device, k);
  }

  void step() { step(options.rate); }
  void step(double rate) {
    auto& run = model_->run;
    auto& device = *run.device;
    const double t = double(run.step.step) + 1;
    run.step.rate = rate;
    run.step.correction1 = 1 - std::pow(options.beta1, t);
    run.step.correction2 = 1 - std::pow(options.beta2, t);
    run.publish();
    auto& arena = run.arena;
    const kernel::AdamW<A> update{arena.value(), arena.grad(), arena.moment(device, 0), arena.moment(device, 1),
                                  A(options.beta1), A(options.beta2), A(options.eps), A(options.decay),
                                  run.on_device()};
    device.record([&] {
      device.for_each(arena.size(), update);
      device.for_each(1, kernel::EndStep{run.on_device()});
    });
    ++run.step.step;
  }

  AdamWOptions options;

 private:
  Model* model_;
};

}  // namespace espalier::inline v0
