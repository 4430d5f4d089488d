// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/pattern.hpp>
#include <espalier/data/tokenizer/pre_tokenizer.hpp>
#include <espalier/data/tokenizer/settings.hpp>

namespace espalier::inline v0::text {

namespace decoders {

using Tokens = std::vector<std::string>;

/// The bytes that the characters stand for. A token with any other character stands for itself.
struct ByteLevel {
  void operator()(Tokens& tokens) const {
    static const auto bytes = [] {
      std::array<int, 0x150> table;
      table.fill(-1);
      for (int b = 0; b < 256; ++b) table[byte_character(static_cast<unsigned char>(b))] = b;
      return table;
    }();
    std::string all, one;
    for (const std::string& token : tokens) {
      one.clear();
      bool stands = true;
      for (std::size_t at = 0; at < token.size() && stands;) {
        const char32_t c = utf8::next(token, at);
        stands = c < bytes.size() && bytes[c] >= 0;
        if (stands) one += static_cast<char>(bytes[c]);
      }
      all += stands ? one : token;
    }
    tokens.assign(1, utf8::replace_invalid(all));
  }
};
/// <0x0A> as the byte 10; a run of them that is no text becomes U+FFFD, one for each.
struct ByteFallback {
  void operator()(Tokens& tokens) const {
    Tokens out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (json::is_utf8(bytes)) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const int byte = byte_of(token); byte >= 0) {
        bytes += static_cast<char>(byte);
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }
  static int byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    const int high = token[3] == '+' ? 0 : digit(token[3]), low = digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};
struct Fuse {
  void operator()(Tokens& tokens) const {
    std::string all;
    for (const std::string& t : tokens) all += t;
    tokens.assign(1, std::move(all));
  }
};
struct Replace {
  Pattern pattern;
  std::string content;
  void operator()(Tokens& tokens) const {
    std::vector<Stretch> stretches;
    for (std::string& token : tokens) {
      pattern.find(token, stretches);
      std::string out;
      for (const Stretch& s : stretches) s.match ? out += content : out.append(token, s.begin, s.end - s.begin);
      token = std::move(out);
    }
  }
};
/// Takes up to so many of a character from both ends of every token.
struct Strip {
  std::string content;
  Index start, stop;
  void operator()(Tokens& tokens) const {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      Index left = 0, right = 0;
      for (; left < start && rest.starts_with(content); ++left) rest.remove_prefix(content.size());
      // What the front has taken the back may not take again.
      for (; right < stop && rest.ends_with(content); ++right) rest.remove_suffix(content.size());
      token = std::string(rest);
    }
  }
};
struct Metaspace {
  std::string replacement;
  bool drops_first;
  void operator()(Tokens& tokens) const {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view space = i == 0 && drops_first ? "" : " ";
      std::string out;
      const std::string& token = tokens[i];
      for (std::size_t at = 0; at < token.size();) {
        const std::string_view c = std::string_view(token).substr(at, utf8::length(token[at]));
        out += c == replacement ? space : c;
        at += c.size();
      }
      tokens[i] = std::move(out);
    }
  }
};
struct WordPiece {
  std::string prefix;
  bool cleanup;
  void operator()(Tokens& tokens) const {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) tokens[i] = tokens[i].starts_with(prefix) ? tokens[i].substr(prefix.size()) : ' ' + tokens[i];
      if (cleanup) clean(tokens[i]);
    }
  }
  /// Blanks before punctuation and English contractions leave.
  static void clean(std::string& token) {
    constexpr std::pair<std::string_view, std::string_view> rules[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},             {" ,", ","},   {" ' ", "'"},  {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : rules) {
      if (token.find(from) == std::string::npos) continue;
      std::string out;
      std::size_t done = 0;
      for (auto at = token.find(from); at != std::string::npos; at = token.find(from, done)) {
        out.append(token, done, at - done).append(to);
        done = at + from.size();
      }
      token = out.append(token, done);
    }
  }
};
/// A suffix that ends words becomes a blank, but for the last token.
struct Suffix {
  std::string suffix;
  void operator()(Tokens& tokens) const {
    if (suffix.empty()) return;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string out;
      std::size_t done = 0;
      for (auto at = tokens[i].find(suffix); at != std::string::npos; at = tokens[i].find(suffix, done)) {
        out.append(tokens[i], done, at - done).append(i + 1 < tokens.size() ? " " : "");
        done = at + suffix.size();
      }
      tokens[i] = out.append(tokens[i], done);
    }
  }
};

}  // namespace decoders

/// How tokens become a text again, step by step. Without any, they are written with blanks between.
class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(const json::Value& part) { read(part); }

  std::string operator()(std::vector<std::string> tokens) const {
    for (const Step& step : steps_) step(tokens);
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && steps_.empty()) text += ' ';
      text += tokens[i];
    }
    return text;
  }
  void add_wordpiece() { steps_.push_back(decoders::WordPiece{"##", true}); }

 private:
  using Step = std::function<void(decoders::Tokens&)>;

  void read(const json::Value& part) {
    const std::string type = type_of(part);
    if (type == "Sequence") {
      allow_keys(part, "decoder Sequence", {"decoders"});
      for (const json::Value& one : part.at("decoders").elements("decoders")) read(one);
    } else if (type == "ByteLevel") {
      allow_keys(part, "decoder ByteLevel", {"add_prefix_space", "trim_offsets", "use_regex"});
      steps_.push_back(decoders::ByteLevel{});
    } else if (type == "ByteFallback") {
      allow_keys(part, type, {});
      steps_.push_back(decoders::ByteFallback{});
    } else if (type == "Fuse") {
      allow_keys(part, type, {});
      steps_.push_back(decoders::Fuse{});
    } else if (type == "Replace") {
      allow_keys(part, "decoder Replace", {"pattern", "content"});
      steps_.push_back(decoders::Replace{Pattern::read(part.at("pattern"), "decoder Replace"), part.text("content")});
    } else if (type == "Strip") {
      allow_keys(part, "decoder Strip", {"content", "start", "stop"});
      steps_.push_back(decoders::Strip{character(part, "content"), part.index("start"), part.index("stop")});
    } else if (type == "Metaspace") {
      const auto m = PreTokenizer::read_metaspace(part, "decoder Metaspace");
      steps_.push_back(decoders::Metaspace{m.replacement, m.prepend != pre_tokenizers::Metaspace::Prepend::never});
    } else if (type == "WordPiece") {
      allow_keys(part, "decoder WordPiece", {"prefix", "cleanup"});
      steps_.push_back(decoders::WordPiece{part.text("prefix"), part.flag("cleanup")});
    } else if (type == "BPEDecoder") {
      allow_keys(part, type, {"suffix"});
      steps_.push_back(decoders::Suffix{part.text("suffix")});
    } else {
      refuse_type("decoder", type,
                  "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece and BPEDecoder");
    }
  }

  std::vector<Step> steps_;
};

}  // namespace espalier::inline v0::text
