// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/core/tensor.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/kernel/rotary.hpp>
#include <string>
#include <vector>

namespace espalier::inline v0 {

/// Rotary position embedding: base, and how frequencies are stretched for longer contexts.
struct RotaryOptions {
  enum class Scaling { none, linear, llama3 };
  double theta = 10000;
  Scaling scaling = Scaling::none;
  double factor = 1;
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
  double original_length = 8192;                               // llama3

  /// frequency_j = θ^(−2j/width), then scaled.               Su et al. 2021, §3.2.2; Llama 3.1 release for `llama3`
  std::vector<double> frequencies(Index width) const {
    std::vector<double> f(std::size_t(width / 2));
    for (std::size_t j = 0; j < f.size(); ++j) {
      double x = 1 / std::pow(theta, 2 * double(j) / double(width));
      if (scaling == Scaling::linear) x /= factor;
      if (scaling == Scaling::llama3) {
        const double length = 2 * 3.14159265358979323846 / x;
        if (length > original_length / low_frequency_factor) {
          x /= factor;
        } else if (length >= original_length / high_frequency_factor) {
          const double s = (original_length / length - low_frequency_factor) /
                           (high_frequency_factor - low_frequency_factor);
          x = (1 - s) * x / factor + s * x;
        }
      }
      f[j] = x;
    }
    return f;
  }
};

/// The angles of one pass, shared by all blocks, and which of them each token is turned by.
template <Backend Device>
struct RotaryAngles {
  View<const typename Device::Accumulate, 2> cosine, sine;  // (seq, head_dim / 2)
  const int* position = nullptr;  // (tokens)  in the document, where a sequence holds several; null: in the sequence
};

/// Frequencies on the device; angles are made once per pass.
template <Backend Device>
class Rotary {
 public:
  using A = typename Device::Accumulate;
  Rotary() = default;
  Rotary(Device& device, Index width, const RotaryOptions& options) : frequency_(device, width / 2) {
    require(width % 2 == 0, "rotary embedding: head_dim is {}, expected an even number", width);
    const auto f = options.frequencies(width);
    device.upload(frequency_.view().data, f.data(), Index(f.size()));
  }
  RotaryAngles<Device> angles(Pass<Device>& pass, const int* position = nullptr) const {
    const Index half = frequency_.size();
    auto cosine = pass.template matrix<A>(pass.shape.seq, half), sine = pass.template matrix<A>(pass.shape.seq, half);
    pass.device.for_each(cosine.size(), kernel::RotaryTable<A>{frequency_.view(), cosine, sine});
    return {cosine, sine, position};
  }

 private:
  Tensor<Device, double, 1> frequency_;  // (width / 2)
};

}  // namespace espalier::inline v0
