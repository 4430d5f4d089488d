// SPDX-License-Identifier: MIT
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/normalizer.hpp>
#include <espalier/data/tokenizer/pieces.hpp>
#include <espalier/data/tokenizer/settings.hpp>

namespace espalier::inline v0::text {

namespace pre_tokenizers {

/// Bytes as characters, behind GPT-2's cut into words.
struct ByteLevel {
  bool prefix_space, words;
  void operator()(Pieces& p) const {
    if (prefix_space) {
      rewrite(p, [](std::string& out, std::string_view text, const Pieces::Piece&) {
        if (!text.starts_with(' ')) out += ' ';
        out += text;
      });
    }
    if (words) {
      cut(p, Delimiter::isolated, [](std::string_view text, std::vector<Stretch>& out) {
        out.clear();
        for (std::size_t at = 0; at < text.size();) {
          const std::size_t end = words::gpt2(text, at);
          out.push_back({at, end, true});
          at = end;
        }
      });
    }
    rewrite(p, [](std::string& out, std::string_view text, const Pieces::Piece&) { append_byte_characters(out, text); });
  }
};
struct Split {
  Pattern pattern;
  Delimiter delimiter;
  bool invert;
  void operator()(Pieces& p) const {
    cut(p, delimiter, [&](std::string_view text, std::vector<Stretch>& out) {
      pattern.find(text, out);
      for (Stretch& s : out) s.match = s.match != invert;
    });
  }
};
/// A visible character for blanks, one in front, and a cut before each.
struct Metaspace {
  enum class Prepend { first, never, always };
  std::string replacement;
  Prepend prepend;
  bool splits;
  void operator()(Pieces& p) const {
    rewrite(p, [&](std::string& out, std::string_view text, const Pieces::Piece& piece) {
      const bool wanted = prepend == Prepend::always || (prepend == Prepend::first && piece.lead > 0);
      if (wanted && !text.starts_with(' ') && !text.starts_with(replacement)) out += replacement;
      for (const char c : text) c == ' ' ? out += replacement : out += c;
    });
    if (!splits) return;
    const char32_t mark = utf8::at(replacement, 0);
    cut(p, Delimiter::merged_with_next, [&](std::string_view text, std::vector<Stretch>& out) {
      find_characters(text, [&](char32_t c) { return c == mark; }, out);
    });
  }
};
/// Cuts at characters of a kind.
struct Characters {
  bool (*wanted)(char32_t);
  Delimiter delimiter;
  void operator()(Pieces& p) const {
    cut(p, delimiter, [&](std::string_view text, std::vector<Stretch>& out) { find_characters(text, wanted, out); });
  }
};
/// \w+|[^\w\s]+
struct Whitespace {
  void operator()(Pieces& p) const {
    cut(p, Delimiter::removed, [](std::string_view text, std::vector<Stretch>& out) {
      out.clear();
      for (std::size_t at = 0; at < text.size();) {
        const char32_t c = utf8::at(text, at);
        const bool space = unicode::is_space(c), word = unicode::is_word(c);
        const std::size_t end = words::run(text, at, [&](char32_t d) {
          return word ? unicode::is_word(d) : unicode::is_space(d) == space && !unicode::is_word(d);
        });
        out.push_back({at, end, space});
        at = end;
      }
    });
  }
};

}  // namespace pre_tokenizers

/// How a text is cut into words, step by step.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(const json::Value& part) { read(part); }

  void operator()(Pieces& pieces) const {
    for (const Step& step : steps_) step(pieces);
  }

  using Step = std::function<void(Pieces&)>;
  void add_bert() {
    steps_.push_back(pre_tokenizers::Characters{unicode::is_space, Delimiter::removed});
    steps_.push_back(pre_tokenizers::Characters{unicode::is_punctuation, Delimiter::isolated});
  }

 private:
  void read(const json::Value& part) {
    const std::string type = type_of(part);
    if (type == "Sequence") {
      allow_keys(part, "pre_tokenizer Sequence", {"pretokenizers"});
      for (const json::Value& one : part.at("pretokenizers").elements("pretokenizers")) read(one);
    } else if (type == "ByteLevel") {
      allow_keys(part, "pre_tokenizer ByteLevel", {"add_prefix_space", "trim_offsets", "use_regex"});
      steps_.push_back(pre_tokenizers::ByteLevel{part.flag("add_prefix_space"), part.flag("use_regex", true)});
    } else if (type == "Split") {
      allow_keys(part, "pre_tokenizer Split", {"pattern", "behavior", "invert"});
      steps_.push_back(pre_tokenizers::Split{Pattern::read(part.at("pattern"), "pre_tokenizer Split"), read_delimiter(part.text("behavior")),
                             part.flag("invert", false)});
    } else if (type == "Metaspace") {
      steps_.push_back(read_metaspace(part, "pre_tokenizer Metaspace"));
    } else if (type == "BertPreTokenizer") {
      allow_keys(part, type, {});
      add_bert();
    } else if (type == "Whitespace") {
      allow_keys(part, "pre_tokenizer Whitespace", {});
      steps_.push_back(pre_tokenizers::Whitespace{});
    } else if (type == "WhitespaceSplit") {
      allow_keys(part, type, {});
      steps_.push_back(pre_tokenizers::Characters{unicode::is_space, Delimiter::removed});
    } else if (type == "Digits") {
      allow_keys(part, "pre_tokenizer Digits", {"individual_digits"});
      steps_.push_back(pre_tokenizers::Characters{unicode::is_numeric, part.flag("individual_digits") ? Delimiter::isolated : Delimiter::contiguous});
    } else if (type == "Punctuation") {
      allow_keys(part, "pre_tokenizer Punctuation", {"behavior"});
      steps_.push_back(pre_tokenizers::Characters{unicode::is_punctuation, read_delimiter(part.text("behavior", "Isolated"))});
    } else {
      refuse_type("pre_tokenizer", type,
                  "Sequence, ByteLevel, Split, Metaspace, BertPreTokenizer, Whitespace, WhitespaceSplit, Digits and Punctuation");
    }
  }

 public:
  /// Also a decoder's.
  static pre_tokenizers::Metaspace read_metaspace(const json::Value& part, std::string_view name) {
    using Metaspace = pre_tokenizers::Metaspace;
    allow_keys(part, name, {"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
    const std::string scheme = part.text("prepend_scheme", "always");
    Metaspace m{character(part, "replacement"), Metaspace::Prepend::always, part.flag("split", true)};
    if (scheme == "first") {
      m.prepend = Metaspace::Prepend::first;
    } else if (scheme == "never") {
      m.prepend = Metaspace::Prepend::never;
    } else if (scheme != "always") {
      fail(Errc::unsupported, "{}: prepend_scheme {}, expected first, never or always", name, printable(scheme));
    }
    if (!part.flag("add_prefix_space", true)) {
      if (part.given("prepend_scheme") && scheme != "never") {
        fail(Errc::bad_input, "{}: add_prefix_space is false and prepend_scheme {}: which?", name, printable(scheme));
      }
      m.prepend = Metaspace::Prepend::never;
    }
    return m;
  }

 private:
  std::vector<Step> steps_;
};

}  // namespace espalier::inline v0::text
