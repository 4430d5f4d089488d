// SPDX-License-Identifier: MIT
#include "toml.hpp"

#include <charconv>

#include "trouble.hpp"

namespace espalier::tool {
namespace {

class TomlReader {
 public:
  TomlReader(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  std::vector<TomlEntry> read() {
    std::string table;
    for (;;) {
      skip_lines();
      if (done()) return std::move(entries_);
      if (peek() == '[') {
        ++at_;
        if (!done() && peek() == '[') refuse("arrays of tables are not used here");
        table = key();
        expect(']');
      } else {
        TomlEntry entry;
        entry.table = table, entry.line = line_;
        entry.key = key();
        expect('=');
        value(entry);
        for (const TomlEntry& other : entries_)
          if (other.table == entry.table && other.key == entry.key) refuse("'" + entry.key + "' stands twice");
        entries_.push_back(std::move(entry));
      }
      skip_blanks();
      if (!done() && peek() == '#') skip_comment();
      if (!done() && peek() != '\n' && peek() != '\r') refuse("one setting a line");
    }
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return text_[at_]; }
  [[noreturn]] void refuse(const std::string& why) const {
    throw Trouble{Errc::usage, why, format("{}, line {}", source_, line_),
                  "settings look like  lr = 3e-4  or  targets = [\"q_proj\", \"v_proj\"]"};
  }
  void skip_blanks() {
    while (!done() && (peek() == ' ' || peek() == '\t')) ++at_;
  }
  void skip_comment() {
    while (!done() && peek() != '\n') ++at_;
  }
  void skip_lines() {
    for (; !done(); ++at_) {
      if (peek() == '#') skip_comment();
      if (done()) return;
      if (peek() == '\n') ++line_;
      else if (peek() != ' ' && peek() != '\t' && peek() != '\r') return;
    }
  }
  void expect(char c) {
    skip_blanks();
    if (done() || peek() != c) refuse(format("'{}' is missing", c));
    ++at_;
  }

  std::string key() {
    skip_blanks();
    if (!done() && (peek() == '"' || peek() == '\'')) return string();
    const std::size_t from = at_;
    const auto bare = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    while (!done() && bare(peek())) ++at_;
    if (at_ == from) refuse("a name was expected");
    return std::string(text_.substr(from, at_ - from));
  }

  std::string string() {
    const char quote = peek();
    ++at_;
    std::string out;
    while (!done() && peek() != quote) {
      char c = peek();
      if (c == '\n') break;
      ++at_;
      if (c == '\\' && quote == '"') {
        if (done()) break;
        switch (peek()) {
          case 'n':
            c = '\n';
            break;
          case 't':
            c = '\t';
            break;
          case 'r':
            c = '\r';
            break;
          case '"':
            c = '"';
            break;
          case '\\':
            c = '\\';
            break;
          default:
            refuse("an escape that is not known here");
        }
        ++at_;
      }
      out += c;
    }
    if (done() || peek() != quote) refuse("a string does not end");
    ++at_;
    return out;
  }

  /// A string, a number or true or false; numbers are checked here, their range where they are used.
  std::string scalar(bool& is_string) {
    skip_blanks();
    if (done()) refuse("a value was expected");
    is_string = peek() == '"' || peek() == '\'';
    if (is_string) return string();
    const std::size_t from = at_;
    while (!done() && std::string_view(" \t\r\n,]#").find(peek()) == std::string_view::npos) ++at_;
    std::string word(text_.substr(from, at_ - from));
    if (word == "true" || word == "false") return word;
    std::string digits;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool between = i > 0 && i + 1 < word.size() && word[i] == '_';
      if (!between && !(i == 0 && word[i] == '+')) digits += word[i];
    }
    double x = 0;
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), x);
    if (digits.empty() || bad != std::errc() || end != digits.data() + digits.size()) {
      refuse(word.empty() ? "a value was expected" : "'" + word + "' is no number; text stands in quotes");
    }
    return digits;
  }

  void value(TomlEntry& entry) {
    skip_blanks();
    if (done() || peek() != '[') {
      entry.values.push_back(scalar(entry.is_string));
      return;
    }
    entry.is_array = true;
    ++at_;
    for (;;) {
      skip_lines();
      if (done()) refuse("an array does not end");
      if (peek() == ']') break;
      entry.values.push_back(scalar(entry.is_string));
      skip_lines();
      if (!done() && peek() == ',') ++at_;
      else if (done() || peek() != ']') refuse("',' or ']' is missing in an array");
    }
    ++at_;
  }

  std::string_view text_;
  const std::string& source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<TomlEntry> entries_;
};

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& source) {
  return TomlReader(text, source).read();
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
  return out + '"';
}

}  // namespace espalier::tool
