// SPDX-License-Identifier: MIT
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>

namespace espalier::inline v0::json {

enum class Kind { null, boolean, number, string, array, object };

/// What is wrong with a text that is not JSON.
enum class Fault {
  ends_early,     ///< the text stops inside a value
  unexpected,     ///< a character that the grammar does not allow here
  control,        ///< an unescaped control character in a string
  bad_utf8,       ///< not UTF-8: overlong, surrogate, above U+10FFFF or cut off
  bad_escape,     ///< an unknown escape or half a surrogate pair
  bad_number,     ///< leading zero, lone sign, missing digits
  out_of_range,   ///< a number beyond a double
  duplicate_key,  ///< an object names a key twice, perhaps through an escape
  too_deep,       ///< more than 64 levels
  trailing,       ///< something follows the value
};

class SyntaxError : public Error {
 public:
  SyntaxError(Fault fault, Index line, Index column, std::string message)
      : Error(Errc::bad_input, std::move(message)), fault_(fault), line_(line), column_(column) {}
  Fault fault() const noexcept { return fault_; }
  Index line() const noexcept { return line_; }
  Index column() const noexcept { return column_; }

 private:
  Fault fault_;
  Index line_, column_;
};

/// Bytes of the UTF-8 character at text[at], 0 if there is none (Unicode 15, table 3-7).
inline std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned a = byte(0), b = byte(1);
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return tail(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    const bool legal = (a != 0xe0 || b >= 0xa0) && (a != 0xed || b <= 0x9f);  // no overlong form, no surrogate
    return legal && tail(1) && tail(2) ? 3 : 0;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    const bool legal = (a != 0xf0 || b >= 0x90) && (a != 0xf4 || b <= 0x8f);
    return legal && tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

inline bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = utf8_length(text, at);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

using Number = std::variant<std::int64_t, std::uint64_t, double>;

/// A strict RFC 8259 reader that is asked for what comes next: no tree, no recursion, one allocation a string at most.
/// Whoever reads an object must look for duplicate keys; json::parse and the safetensors reader do.
class Cursor {
 public:
  static constexpr int max_depth = 64;

  explicit Cursor(std::string_view text, std::string_view source = "JSON") : text_(text), source_(source) {}

  Kind kind() {
    switch (peek()) {
      case '{': return Kind::object;
      case '[': return Kind::array;
      case '"': return Kind::string;
      case 't':
      case 'f': return Kind::boolean;
      case 'n': return Kind::null;
      default:
        if (peek() != '-' && !digit(at_)) unexpected("a value");
        return Kind::number;
    }
  }

  void read_null() { word("null"); }
  bool read_bool() {
    if (peek() == 't') return word("true"), true;
    return word("false"), false;
  }
  void enter_object() { enter('{'); }
  void enter_array() { enter('['); }

  /// Reads the next key and its colon; false once the object is closed.
  bool next_member(std::string& key) {
    if (!next('}')) return false;
    read_string(key);
    if (peek() != ':') unexpected("':'");
    ++at_;
    return true;
  }
  /// True if an element follows; false once the array is closed.
  bool next_element() { return next(']'); }

  void read_string(std::string& out) {
    if (peek() != '"') unexpected("a string");
    ++at_;
    out.clear();
    out.reserve(raw_length());
    for (;;) {
      if (at_ >= text_.size()) refuse(Fault::ends_early, "the text ends inside a string");
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') break;
      if (c < 0x20) refuse(Fault::control, "an unescaped control character in a string");
      if (c == '\\') {
        read_escape(out);
        continue;
      }
      const std::size_t n = utf8_length(text_, at_);
      if (n == 0) refuse(Fault::bad_utf8, "a byte sequence that is not UTF-8");
      out.append(text_, at_, n);
      at_ += n;
    }
    ++at_;
  }

  /// Integers keep all 64 bits; what is larger, or written "-0", with a fraction or an exponent is a double.
  Number read_number() {
    if (peek() != '-' && !digit(at_)) unexpected("a number");
    const std::size_t begin = at_;
    bool integer = true;
    if (text_[at_] == '-') ++at_;
    const std::size_t first = at_;
    digits();
    if (text_[first] == '0' && at_ > first + 1) refuse(Fault::bad_number, "a number with a leading zero");
    if (at_ < text_.size() && text_[at_] == '.') integer = false, ++at_, digits();
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      integer = false, ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      digits();
    }
    const char *from = text_.data() + begin, *to = text_.data() + at_;
    if (integer && !(to - from == 2 && from[0] == '-' && from[1] == '0')) {
      std::int64_t i = 0;
      if (std::from_chars(from, to, i).ec == std::errc()) return i;
      std::uint64_t u = 0;
      if (*from != '-' && std::from_chars(from, to, u).ec == std::errc()) return u;
    }
    double x = 0;
    if (std::from_chars(from, to, x).ec != std::errc()) refuse(Fault::out_of_range, "a number that no double can hold");
    return x;
  }

  /// Passes over a value of any kind. Keys are not compared.
  void skip() {
    const int outside = depth_;
    std::string text;
    do {
      if (depth_ > outside && !(object_[depth_ - 1] ? next_member(text) : next_element())) continue;
      switch (kind()) {
        case Kind::null: read_null(); break;
        case Kind::boolean: read_bool(); break;
        case Kind::number: read_number(); break;
        case Kind::string: read_string(text); break;
        case Kind::array: enter_array(); break;
        case Kind::object: enter_object(); break;
      }
    } while (depth_ > outside);
  }

  /// The end of the text: nothing but white space may follow.
  void finish() {
    space();
    if (at_ < text_.size()) refuse(Fault::trailing, "something after the end of the value");
  }

  [[noreturn]] void refuse(Fault fault, std::string_view what) const {
    Index line = 1, column = 1;
    for (std::size_t i = 0; i < at_ && i < text_.size(); ++i) {
      if (text_[i] == '\n') ++line, column = 0;
      ++column;
    }
    throw SyntaxError(fault, line, column, format("{}: line {}, column {}: {}", source_, line, column, what));
  }

 private:
  bool digit(std::size_t i) const { return i < text_.size() && text_[i] >= '0' && text_[i] <= '9'; }
  void digits() {
    if (!digit(at_)) refuse(at_ < text_.size() ? Fault::bad_number : Fault::ends_early, "a number without its digits");
    while (digit(at_)) ++at_;
  }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  /// The next character that is not white space.
  char peek() {
    space();
    if (at_ >= text_.size()) refuse(Fault::ends_early, "the text ends where more was expected");
    return text_[at_];
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    refuse(Fault::unexpected, format("expected {}", wanted));
  }
  void word(std::string_view w) {
    peek();
    if (text_.substr(at_, w.size()) != w) {
      const bool cut = w.starts_with(text_.substr(at_));
      refuse(cut ? Fault::ends_early : Fault::unexpected, format("expected {}", w));
    }
    at_ += w.size();
  }
  void enter(char bracket) {
    if (peek() != bracket) unexpected(bracket == '{' ? "an object" : "an array");
    if (depth_ == max_depth) refuse(Fault::too_deep, "more than 64 levels of nesting");
    ++at_;
    object_[depth_] = bracket == '{';
    first_[depth_++] = true;
  }
  bool next(char closing) {
    const char c = peek();
    bool& first = first_[depth_ - 1];
    if (c == closing) {
      ++at_, --depth_;
      return false;
    }
    if (!first) {
      if (c != ',') unexpected(closing == '}' ? "',' or '}'" : "',' or ']'");
      ++at_;
    }
    first = false;
    return true;
  }
  /// Bytes up to the closing quote: an upper bound of what the string decodes to.
  std::size_t raw_length() const {
    std::size_t i = at_;
    while (i < text_.size() && text_[i] != '"') i += text_[i] == '\\' ? 2 : 1;
    return (i < text_.size() ? i : text_.size()) - at_;
  }
  unsigned hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ >= text_.size()) refuse(Fault::ends_early, "the text ends inside an escape");
      const char c = text_[at_];
      const int d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
      if (d < 0) refuse(Fault::bad_escape, "\\u without four hexadecimal digits");
      code = code * 16 + static_cast<unsigned>(d);
    }
    return code;
  }
  void read_escape(std::string& out) {
    if (++at_ >= text_.size()) refuse(Fault::ends_early, "the text ends inside an escape");
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const auto which = letters.find(text_[at_]);
    if (which != std::string_view::npos) {
      out += meanings[which];
      ++at_;
      return;
    }
    if (text_[at_] != 'u') refuse(Fault::bad_escape, "an unknown escape");
    ++at_;
    unsigned code = hex4();
    if (code >= 0xd800 && code <= 0xdbff) {
      if (text_.substr(at_, 2) != "\\u") refuse(Fault::bad_escape, "half a surrogate pair");
      at_ += 2;
      const unsigned low = hex4();
      if (low < 0xdc00 || low > 0xdfff) refuse(Fault::bad_escape, "half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      refuse(Fault::bad_escape, "half a surrogate pair");
    }
    const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) return put(0xc0 | code >> 6), put(0x80 | (code & 63));
    if (code < 0x10000) return put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
    put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 63)), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
  }

  std::string_view text_, source_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool first_[max_depth] = {}, object_[max_depth] = {};
};

}  // namespace espalier::inline v0::json
