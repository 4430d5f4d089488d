// SPDX-License-Identifier: MIT
// What a stranger's first program does with the library: the same in all three ways of getting it.
#include <cstdio>
#include <espalier/backend/cpu.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/view.hpp>

namespace esp = espalier;

int main() {
  float numbers[6] = {1, 2, 3, 4, 5, 6};
  const auto matrix = esp::matrix(numbers, 2, 3);
  const std::string text = esp::format("{} of {} is {}", ESPALIER_VERSION_STRING, matrix.size(), matrix.t()(2, 1));
  std::puts(text.c_str());

  esp::Cpu<float> device;
  float product[4] = {};
  device.gemm(1.0f, matrix, matrix.t(), 0.0f, esp::matrix(product, 2, 2));
  return text == ESPALIER_VERSION_STRING " of 6 is 6" && product[0] == 14.0f && product[3] == 77.0f ? 0 : 1;
}
