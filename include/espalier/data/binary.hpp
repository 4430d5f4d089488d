// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <espalier/data/token_list.hpp>
#include <espalier/io/file_read.hpp>

namespace espalier::inline v0 {

/// How a file of binary token ids begins. Little-endian throughout.
///   nanoGPT              no header, then 16 bits an id
///   llm.c, GPT-2         int32[256]: 20240520, 1, number of ids; then 16 bits an id
///   llm.c, Llama 3       int32[256]: 20240801, 7, number of ids; then 32 bits an id
struct BinaryTokens {
  static constexpr std::int32_t kShortMagic = 20240520, kLongMagic = 20240801;
  std::uint64_t first = 0;  ///< byte of the first id
  std::uint64_t count = 0;
  unsigned width = 2;  ///< bytes an id

  static BinaryTokens of(const io::File& file) {
    std::int32_t header[256] = {};
    if (file.size() >= sizeof header) file.read_at(0, std::as_writable_bytes(std::span(header)));
    const std::int32_t magic = header[0], version = header[1];
    BinaryTokens form;
    if (magic != kShortMagic && magic != kLongMagic) {
      if (file.size() % 2 != 0) {
        fail(Errc::bad_input,
             "{}: {} bytes are not a whole number of 16-bit ids. Hint: a .bin without an llm.c header is "
             "read as nanoGPT writes it, 16 bits an id",
             file.path(), file.size());
      }
      form.count = file.size() / 2;
      return form;
    }
    const std::int32_t expected = magic == kShortMagic ? 1 : 7;
    if (version != expected) {
      fail(Errc::unsupported,
           "{}: an llm.c token file {} of version {}, expected {}. Hint: write it anew with a current "
           "llm.c data script",
           file.path(), magic, version, expected);
    }
    form.first = sizeof header, form.width = magic == kShortMagic ? 2 : 4;
    form.count = header[2] < 0 ? 0 : static_cast<std::uint64_t>(header[2]);
    if (header[2] < 0 || file.size() != form.first + form.count * form.width) {
      fail(Errc::bad_input,
           "{}: the header promises {} ids of {} bytes, {} bytes in all; the file has {}. Hint: it was cut "
           "off, or is still being written",
           file.path(), header[2], form.width, form.first + form.count * form.width, file.size());
    }
    return form;
  }
};

inline Tokens read_binary_tokens(const std::string& path) {
  const io::File file(path);
  const BinaryTokens form = BinaryTokens::of(file);
  Tokens tokens;
  tokens.source = path;
  tokens.ids.reserve(form.count);
  const auto read = [&]<class Id>(Id) {
    std::vector<Id> piece(std::min<std::uint64_t>(form.count, std::uint64_t{1} << 19));
    for (std::uint64_t at = 0; at < form.count; at += piece.size()) {
      const std::span part(piece.data(), std::min<std::uint64_t>(piece.size(), form.count - at));
      file.read_at(form.first + at * sizeof(Id), std::as_writable_bytes(part));
      for (const Id id : part) {
        if (!std::in_range<int>(id)) {
          fail(Errc::bad_input, "{}: id {} at position {} is no token of any vocabulary", path, id, tokens.ids.size());
        }
        tokens.ids.push_back(int(id));
      }
    }
  };
  form.width == 2 ? read(std::uint16_t{}) : read(std::uint32_t{});
  return tokens;
}

}  // namespace espalier::inline v0
