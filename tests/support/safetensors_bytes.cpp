// SPDX-License-Identifier: MIT
#include "safetensors_bytes.hpp"

#include <algorithm>
#include <cstring>
#include <espalier/io/safetensors.hpp>
#include <map>
#include <utility>
#include <vector>

#include "foreign_json.hpp"

namespace espalier::test {

std::string file(std::string_view header, std::string_view body, std::uint64_t length) {
  if (length == ~std::uint64_t{0} - 1) length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), 8);
  return out.append(header).append(body);
}
std::string with_entry(const std::string& entry, std::size_t body) {
  return file("{\"a\":" + entry + "}", std::string(body, '\0'));
}
std::string with_shape(const std::string& shape, const std::string& dtype, const std::string& offsets,
                       std::size_t body) {
  return with_entry(R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}", body);
}
std::string two(const std::string& first, const std::string& second, std::size_t body, const std::string& a,
                const std::string& b) {
  return file("{\"" + a + R"(":{"dtype":"F32","shape":[1],"data_offsets":)" + first + "},\"" + b +
                  R"(":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}",
              std::string(body, '\0'));
}

__extension__ using Wide = unsigned __int128;

bool consistent(std::string_view whole) {
  static const std::map<std::string, std::uint64_t> bits = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  if (whole.size() < 8) return false;
  std::uint64_t n = 0;
  std::memcpy(&n, whole.data(), 8);
  if (n > whole.size() - 8) return false;
  const auto header = foreign_json(whole.substr(8, n), false);
  if (!header.is_object()) return false;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> parts;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    if (!entry.is_object() || entry.size() != 3 || !entry["dtype"].is_string() || !bits.contains(entry["dtype"]))
      return false;
    Wide size = 1;
    for (const auto& extent : entry["shape"]) {
      if (!extent.is_number_unsigned()) return false;
      size *= extent.get<std::uint64_t>();
      if (size >> 64 != 0) return false;
    }
    size *= bits.at(entry["dtype"]);
    if (size >> 64 != 0) return false;
    const auto& offsets = entry["data_offsets"];
    if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return false;
    parts.emplace_back(offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>());
    if (size % 8 != 0 || size / 8 != parts.back().second - parts.back().first) return false;
  }
  std::sort(parts.begin(), parts.end());
  std::uint64_t end = 0;
  for (const auto& [begin, stop] : parts) {
    if (begin != end || stop < begin) return false;
    end = stop;
  }
  return end == whole.size() - 8 - n;
}

bool accepted(std::string_view whole) {
  try {
    parse_safetensors(bytes_of(whole));
  } catch (const MalformedSafetensors&) {
    return false;
  }
  if (!consistent(whole)) FAIL("an inconsistent file was accepted");
  return true;
}

}  // namespace espalier::test
