// SPDX-License-Identifier: MIT
// Any bytes as a safetensors file. What is accepted must be consistent, and be written again to an equal header.
#include <cstdint>
#include <cstdlib>
#include <espalier/io/safetensors.hpp>
#include <espalier/io/safetensors_write.hpp>

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto check = [](bool holds) {
    if (!holds) std::abort();
  };
  SafetensorsHeader header;
  try {
    header = parse_safetensors(std::as_bytes(std::span(data, size)));
  } catch (const MalformedSafetensors&) {
    return 0;
  }
  std::uint64_t end = 0;
  std::vector<TensorSpec> specs;
  for (const TensorInfo& tensor : header.tensors) {
    check(tensor.offset == end);
    end += tensor.bytes;
    check(header.find(tensor.name) == &tensor);
    check(static_cast<std::uint64_t>(tensor.elements()) * static_cast<std::uint64_t>(bits_of(tensor.dtype)) == tensor.bytes * 8);
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  check(header.data_begin + end == size);
  const SafetensorsLayout layout = lay_out_safetensors(specs, header.metadata);
  check(layout.bytes == end);
  std::string text = layout.header;
  check(text.size() % 8 == 0);
  const std::uint64_t total = text.size() + end;
  const SafetensorsHeader again = SafetensorsHeaderReader(std::string_view(text).substr(8), total, "again").read();
  check(again.tensors.size() == header.tensors.size());
  check(again.metadata.size() == header.metadata.size());
  return 0;
}
