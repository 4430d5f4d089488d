// SPDX-License-Identifier: MIT
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <espalier/core/config.hpp>

namespace espalier::inline v0::kernel {

/// e^x in whatever field the kernel runs.
template <class A>
ESPALIER_FN A exp(A x) {
  using std::exp;
  return exp(x);
}

/// e^x = 2^n e^r,  n = round(x / ln 2),  |r| ≤ ln 2 / 2,  e^r by its Taylor series to r^7.
/// No branch and no call, so that loops vectorise; 1.1 units in the last place.
ESPALIER_FN inline float exp(float x) {
  x = x < -104.0f ? -104.0f : x;  // below: zero; comparisons keep NaN
  x = x > 89.0f ? 89.0f : x;      // above: infinity
  constexpr float shift = 0x1.8p23f;
  const float shifted = x * 1.44269504f + shift;  // the integer stands in the low bits
  const float n = shifted - shift;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts, the first one exact
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = (p * r) * r + r;
  // 2^n in two factors: either alone is a normal number.
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(shift);
  const std::int32_t half = exponent >> 1;
  const float first = std::bit_cast<float>((half + 127) << 23),
              second = std::bit_cast<float>((exponent - half + 127) << 23);
  return (p * first + first) * second;
}

/// σ(x) = 1 / (1 + e^−x)
template <class A>
ESPALIER_FN A sigmoid(A x) {
  return A(1) / (A(1) + exp(-x));
}

/// tanh x = 1 − 2 / (1 + e^2x): saturates without overflow.
template <class A>
ESPALIER_FN A tanh(A x) {
  return A(1) - A(2) / (A(1) + exp(x + x));
}

/// std::complex, without waiting for its header.
template <class A>
concept Complex = requires(const A& x) {
  x.real();
  x.imag();
};

/// erf in whatever field the kernel runs. Beside the real axis, to first order: what a derivative by complex step asks for.
template <class A>
ESPALIER_FN A erf(A x) {
  using std::erf, std::exp;
  if constexpr (Complex<A>) {
    using T = typename A::value_type;
    const T slope = T(1.1283791670955126) * exp(-x.real() * x.real());  // 2/√π e^−x²
    return {erf(x.real()), slope * x.imag()};
  } else {
    return erf(x);
  }
}

/// What numbers of any field are ordered by.
template <class A>
ESPALIER_FN auto real_part(const A& x) {
  if constexpr (Complex<A>) return x.real();
  else return x;
}
/// The greater by its real part: what a maximum is in any field.
template <class A>
ESPALIER_FN A larger(A a, A b) {
  return real_part(a) < real_part(b) ? b : a;
}

}  // namespace espalier::inline v0::kernel
