// SPDX-License-Identifier: MIT
#pragma once
// What the tests of a family of models ask of its files and masks.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <espalier/io/safetensors.hpp>
#include <espalier/model/load.hpp>
#include <string>
#include <vector>

namespace espalier::test {

/// Masks other units in each layer.
template <class Model>
void mask_some(Model& model) {
  model.groups([&](auto group) {
    std::vector<std::uint8_t> alive(std::size_t(group.units()), 1);
    if (group.kind == "heads") alive[std::size_t(group.layer) % alive.size()] = 0;
    if (group.kind == "channels")
      for (std::size_t u = std::size_t(group.layer); u < alive.size(); u += 4 - std::size_t(group.layer)) alive[u] = 0;
    group.mask->set(model.device(), alive);
  });
}

/// A tensor went through a model and out again untouched.
inline void same_bytes(const SafetensorsFile& before, const std::string& old, const SafetensorsFile& after, const std::string& name) {
  CAPTURE(name);
  REQUIRE(before.contains(old));
  const auto &a = before.info(old), &b = after.info(name);
  CHECK((a.shape == b.shape && a.dtype == b.dtype));
  std::vector<std::byte> x(a.bytes), y(b.bytes);
  before.read(a, x), after.read(b, y);
  CHECK(x == y);
}

/// A directory is refused for this reason, in these words.
template <class Model>
void refuse(const std::string& directory, Errc code, const std::string& words) {
  typename Model::DeviceType device;
  CAPTURE(words);
  try {
    load<Model>(device, directory);
    FAIL_CHECK("nothing was refused");
  } catch (const Error& e) {
    INFO(e.what());
    CHECK(e.code() == code);
    CHECK(std::string(e.what()).find(words) != std::string::npos);
  }
}

}  // namespace espalier::test
