// SPDX-License-Identifier: MIT
#include "golden.hpp"

#include <cstdint>
#include <span>

namespace espalier::test {

namespace {

std::vector<int> integers(const SafetensorsFile& file, const std::string& name) {
  std::vector<std::int64_t> x(static_cast<std::size_t>(file.info(name).elements()));
  file.read(name, std::as_writable_bytes(std::span(x)));
  return {x.begin(), x.end()};
}

std::vector<double> numbers_of(const SafetensorsFile& file, const std::string& name) {
  std::vector<double> x(static_cast<std::size_t>(file.info(name).elements()));
  file.read_numbers(name, std::span(x));
  return x;
}

}  // namespace

Golden::Golden(const std::string& name)
    : directory(golden_directory(name)), file(directory + "/golden.safetensors"), tokens(integers(file, "input_ids")) {
  const auto& info = file.info("input_ids");
  shape = {info.shape[0], info.shape[1]};
  const auto labels = integers(file, "labels");  // transformers shifts inside the model: what counts is the next label
  targets.assign(labels.size(), -100);
  for (Index b = 0; b < shape.batch; ++b)
    for (Index t = 0; t + 1 < shape.seq; ++t)
      targets[std::size_t(b * shape.seq + t)] = labels[std::size_t(b * shape.seq + t + 1)];
}

std::vector<double> Golden::numbers(const std::string& name) const { return numbers_of(file, name); }

TextGolden::TextGolden(const std::string& name)
    : directory(golden_directory(name)), file(directory + "/golden.safetensors"), tokens(integers(file, "input_ids")),
      visible(integers(file, "attention_mask")) {
  const auto& info = file.info("input_ids");
  shape = {info.shape[0], info.shape[1]};
  if (file.contains("token_type_ids")) segments = integers(file, "token_type_ids");
  if (file.info("labels").dtype == Dtype::i64) classes = integers(file, "labels");
  else values = numbers_of(file, "labels");
}

TextBatch TextGolden::batch() const {
  return {.tokens = tokens, .visible = visible, .segments = segments, .labels = {classes, values}, .shape = shape};
}
std::vector<double> TextGolden::numbers(const std::string& name) const { return numbers_of(file, name); }

}  // namespace espalier::test
