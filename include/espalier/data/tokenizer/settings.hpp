// SPDX-License-Identifier: MIT
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include <espalier/core/error.hpp>
#include <espalier/data/tokenizer/utf8.hpp>
#include <espalier/io/json.hpp>

namespace espalier::inline v0::text {

/// The type of a part of a tokenizer.json.
inline std::string type_of(const json::Value& part) {
  if (!part.is_object()) fail(Errc::bad_input, "expected an object with a \"type\"");
  return part.text("type");
}

/// A part may have these keys and no others: one more might ask for something that is not done here.
inline void allow_keys(const json::Value& part, std::string_view name, std::initializer_list<std::string_view> keys) {
  for (const json::Member& member : part.members(name)) {
    bool known = member.key == "type";
    for (const std::string_view key : keys) known = known || member.key == key;
    if (!known) {
      fail(Errc::unsupported, "{} has a setting {} that is not known here, and might change the ids. {}", name,
           printable(member.key), "Hint: tokenize with the library that wrote it and give token ids");
    }
  }
}

[[noreturn]] inline void refuse_type(std::string_view what, std::string_view type, std::string_view known) {
  fail(Errc::unsupported,
       "the {} {} is not computed here; known are {}. Hint: tokenize with the library that wrote it and give token ids "
       "(.bin, .npy, or .jsonl with \"input_ids\")",
       what, printable(type), known);
}

/// Runs `read` and says in front of its errors where they arose.
template <class Read>
decltype(auto) within(std::string_view where, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", where, error.what());
  }
}

/// A setting that is one character.
inline std::string character(const json::Value& part, std::string_view key) {
  const std::string& one = part.text(key);
  if (one.empty() || utf8::length(one[0]) != one.size()) {
    fail(Errc::bad_input, "{} is {}, expected one character", printable(key), printable(one));
  }
  return one;
}
/// A token that stands for bytes that no other token does: "<0x0A>".
inline std::string byte_token(unsigned byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + '>';
}

}  // namespace espalier::inline v0::text
