// SPDX-License-Identifier: MIT
#pragma once
// What the tests of a family of models ask of its files and masks.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <espalier/io/safetensors.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/model/load.hpp>
#include <filesystem>
#include <span>
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

/// A copy of a directory, but for the tensors of one of its files whose names begin so.
inline std::string copy_without(const std::string& prefix, const std::string& from, const std::string& to, const std::string& name = "model.safetensors") {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  const SafetensorsFile file(from + "/" + name);
  std::vector<TensorSpec> specs;
  for (const auto& t : file.tensors())
    if (!t.name.starts_with(prefix)) specs.push_back({t.name, t.dtype, t.shape});
  REQUIRE(specs.size() < file.tensors().size());
  std::filesystem::remove(to + "/" + name);
  write_safetensors(to + "/" + name, specs, {{"format", "pt"}}, [&](const TensorInfo& info, auto& sink) {
    std::vector<std::byte> bytes(info.bytes);
    file.read(file.info(info.name), bytes);
    sink.write(std::span<const std::byte>(bytes));
  });
  return to;
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
