// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <string>

#include <espalier/data/token_list.hpp>
#include <espalier/io/file_read.hpp>

namespace espalier::inline v0 {

/// A text is the list of its bytes. Models of other vocabularies refuse it, see Tokens::check.
inline Tokens read_text_tokens(const std::string& path) {
  const std::string text = io::read_file(path, std::uint64_t{1} << 40);
  Tokens tokens;
  tokens.source = path, tokens.bytes = true;
  tokens.ids.reserve(text.size());
  for (const char c : text) tokens.ids.push_back(static_cast<unsigned char>(c));
  return tokens;
}

}  // namespace espalier::inline v0
