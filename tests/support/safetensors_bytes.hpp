// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace espalier::test {

/// Files of the reference writer: see tests/data/make_safetensors_golden.py.
inline const char* const safetensors_names[] = {"empty", "metadata_only", "one_f32",    "padded", "scalar_and_empty",
                                                "names", "dtypes",        "conversions"};
inline std::string safetensors_golden(const std::string& name) {
  return std::string(ESPALIER_TEST_DATA) + "/safetensors/" + name;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A file: the length, the header, the rest.
std::string file(std::string_view header, std::string_view body = "", std::uint64_t length = ~std::uint64_t{0} - 1);
/// A file of one float32 tensor 'a' whose entry is given.
std::string with_entry(const std::string& entry, std::size_t body = 4);
std::string with_shape(const std::string& shape, const std::string& dtype = "F32", const std::string& offsets = "[0,4]",
                       std::size_t body = 4);
std::string two(const std::string& first, const std::string& second, std::size_t body, const std::string& a = "a",
                const std::string& b = "b");

/// What a reader that has nothing of ours thinks of a file: is it consistent?
bool consistent(std::string_view whole);
/// Whether it is accepted; whatever is must be consistent, and nothing but MalformedSafetensors may refuse it.
bool accepted(std::string_view whole);

}  // namespace espalier::test
