// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <espalier/data/tokenizer/settings.hpp>
#include <espalier/data/tokenizer/word_patterns.hpp>

namespace espalier::inline v0::text {

/// A stretch of a text that a pattern matches, or one between two matches.
struct Stretch {
  std::size_t begin, end;
  bool match;
};

/// A text to look for, or one of the regular expressions that published tokenizers hold. These are told apart by their
/// spelling and each has a matcher of its own: there is no regular expression engine here.
class Pattern {
 public:
  /// {"String": "…"} or {"Regex": "…"}
  static Pattern read(const json::Value& pattern, std::string_view where) {
    if (pattern.size() != 1 || !(pattern.contains("String") || pattern.contains("Regex"))) {
      fail(Errc::bad_input, R"({}: a pattern is {}, expected {"String": …} or {"Regex": …})", where, pattern.dump());
    }
    Pattern p;
    if (pattern.contains("Regex")) {
      p.match_ = known(pattern.text("Regex"), where);
    } else {
      p.literal_ = pattern.text("String");
      if (p.literal_.empty()) fail(Errc::unsupported, "{}: an empty pattern matches everywhere", where);
    }
    return p;
  }

  /// The whole text in matches and what is between them, in order.
  void find(std::string_view text, std::vector<Stretch>& out) const {
    out.clear();
    std::size_t done = 0;
    const auto add = [&](std::size_t begin, std::size_t end) {
      if (begin > done) out.push_back({done, begin, false});
      out.push_back({begin, end, true});
      done = end;
    };
    if (match_ == nullptr) {
      for (auto at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size()))
        add(at, at + literal_.size());
    } else {
      for (std::size_t at = 0; at < text.size();) {
        const Found found = match_(text, at);
        if (found.matches) add(at, found.end);
        at = found.end;
      }
    }
    if (done < text.size()) out.push_back({done, text.size(), false});
  }

 private:
  /// What is at a place: a match and its end, or none before `end`.
  struct Found {
    bool matches;
    std::size_t end;
  };
  using Matcher = Found (*)(std::string_view, std::size_t);

  static Found found(std::string_view text, std::size_t at, std::size_t end) {
    return end > at ? Found{true, end} : Found{false, at + utf8::length(text[at])};
  }
  /// As many of the wanted as there are, at least `least`.
  template <class Wanted>
  static Found repeated(std::string_view text, std::size_t at, const Wanted& wanted, std::size_t least = 1,
                        std::size_t most = std::size_t(-1)) {
    const std::size_t end = words::run(text, at, wanted, most);
    std::size_t count = 0;
    for (std::size_t i = at; i < end && count < least; i += utf8::length(text[i])) ++count;
    if (end > at && count < least) return {false, end};
    return found(text, at, end);
  }
  static bool is_space(char32_t c) { return unicode::is_space(c); }
  static bool is_blank(char32_t c) { return c == ' '; }
  static bool is_line(char32_t c) { return words::newline(c) || c == '\t'; }
  static bool is_number(char32_t c) { return unicode::is(unicode::numbers, c); }
  static bool is_lower_line(char32_t c) { return c == 0x2581; }

  static Matcher known(std::string_view regex, std::string_view where) {
    using Text = std::string_view;
    using At = std::size_t;
    struct Known {
      std::string_view regex;
      Matcher match;
    };
    static constexpr Known all[] = {
        {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::gpt2(t, i)); }},
        {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::cl100k(t, i, 3, unicode::letters)); }},
        {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::cl100k(t, i, 1, unicode::letters)); }},
        {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::cl100k(t, i, 1, unicode::letters | unicode::marks)); }},
        {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::o200k(t, i, 3, true)); }},
        {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::o200k(t, i, 1, false)); }},
        {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
         [](Text t, At i) { return found(t, i, words::deepseek(t, i)); }},
        {R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)",
         [](Text t, At i) { return found(t, i, words::clip(t, i)); }},
        {R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)",
         [](Text t, At i) {
           for (const Text name : {"<|startoftext|>", "<|endoftext|>"})
             if (t.substr(i).starts_with(name)) return Found{true, i + name.size()};
           return found(t, i, words::clip(t, i));
         }},
        {" ?[^(\\s|[.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c])]+",
         [](Text t, At i) { return found(t, i, words::bloom(t, i)); }},
        {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+",  // 一-龥, ぀-ゟ, ゠-ヿ
         [](Text t, At i) {
           return repeated(t, i, [](char32_t c) { return (c >= 0x4e00 && c <= 0x9fa5) || (c >= 0x3040 && c <= 0x30ff); });
         }},
        {R"(\p{N}{1,3})", [](Text t, At i) { return repeated(t, i, is_number, 1, 3); }},
        {R"(\p{N})", [](Text t, At i) { return repeated(t, i, is_number, 1, 1); }},
        {R"([0-9][0-9][0-9])",
         [](Text t, At i) {
           const std::size_t end = words::run(t, i, [](char32_t c) { return c >= '0' && c <= '9'; }, 3);
           return end - i == 3 ? Found{true, end} : Found{false, std::max(end, i + utf8::length(t[i]))};
         }},
        {R"(\s+)", [](Text t, At i) { return repeated(t, i, is_space); }},
        {R"(\n)", [](Text t, At i) { return Found{t[i] == '\n', i + utf8::length(t[i])}; }},
        {R"([\r\n])", [](Text t, At i) { return repeated(t, i, words::newline, 1, 1); }},
        {R"([\n\r\t])", [](Text t, At i) { return repeated(t, i, is_line, 1, 1); }},
        {R"(\s{2,}|[\n\r\t])",
         [](Text t, At i) {
           const Found two = repeated(t, i, is_space, 2);
           return !two.matches && is_line(static_cast<unsigned char>(t[i])) ? Found{true, i + 1} : two;
         }},
        {R"( {2,})", [](Text t, At i) { return repeated(t, i, is_blank, 2); }},
        {" +\xe2\x96\x81",  // spaces and U+2581
         [](Text t, At i) {
           const std::size_t end = words::run(t, i, is_blank);
           if (end > i && t.substr(end).starts_with("\xe2\x96\x81")) return Found{true, end + 3};
           return Found{false, std::max(end, i + utf8::length(t[i]))};
         }},
        {"^\xe2\x96\x81+$",  // a line of U+2581
         [](Text t, At i) {
           const std::size_t end = words::run(t, i, is_lower_line);
           const bool whole = end > i && (i == 0 || t[i - 1] == '\n') && (end == t.size() || t[end] == '\n');
           return Found{whole, std::max(end, i + utf8::length(t[i]))};
         }},
    };
    // Some files hold the line breaks themselves, others their escapes.
    std::string spelled;
    for (const char c : regex) spelled += c == '\r' ? "\\r" : c == '\n' ? "\\n" : std::string(1, c);
    for (const Known& k : all)
      if (k.regex == spelled) return k.match;
    fail(Errc::unsupported,
         "{}: the regular expression {} is not one of the {} that are known here (those of GPT-2, GPT-4, GPT-4o, Llama 3, "
         "Qwen, Mistral, DeepSeek, BLOOM, CLIP, T5). Hint: tokenize with the library that wrote it and give token ids",
         where, printable(regex), std::size(all));
  }

  std::string literal_;
  Matcher match_ = nullptr;
};

}  // namespace espalier::inline v0::text
