// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/data/tokenizer/charsmap.hpp>
#include <espalier/data/tokenizer/normal_form.hpp>
#include <espalier/data/tokenizer/pattern.hpp>
#include <espalier/data/tokenizer/settings.hpp>

namespace espalier::inline v0::text {

/// A text on its way, and how many bytes in front stand for its first character: Metaspace asks whether a piece begins there.
struct Normalized {
  std::string text;
  std::size_t lead = 0;
};

namespace normalizers {

/// Leaves characters out and puts others in their place: `map(out, c)` writes what stands for c.
template <class Map>
void rewrite(Normalized& x, const Map& map) {
  std::string out;
  out.reserve(x.text.size());
  std::size_t lead = 0;
  for (std::size_t at = 0; at < x.text.size();) {
    map(out, utf8::next(x.text, at));
    if (at <= x.lead) lead = out.size();
  }
  x.text = std::move(out), x.lead = lead;
}

struct Form {
  unicode::NormalForm form;
  void operator()(Normalized& x) const {
    x.lead = unicode::normalize(std::string_view(x.text).substr(0, x.lead), form).size();
    x.text = unicode::normalize(x.text, form);
  }
};
struct Lowercase {
  void operator()(Normalized& x) const { rewrite(x, unicode::append_lower); }
};
struct StripAccents {
  void operator()(Normalized& x) const {
    rewrite(x, [](std::string& out, char32_t c) {
      if (!unicode::is_combining_mark(c)) utf8::append(out, c);
    });
  }
};
struct Strip {
  bool left, right;
  void operator()(Normalized& x) const {
    const std::string_view text = x.text;
    std::size_t begin = 0, end = text.size();
    for (std::size_t i = 0; left && i < end && unicode::is_space(utf8::next(text, i));) begin = i;
    while (right && end > begin) {
      const std::size_t last = utf8::begin_before(text, end);
      if (!unicode::is_space(utf8::at(text, last))) break;
      end = last;
    }
    x.lead -= std::min(x.lead, begin);
    x.text = std::string(text.substr(begin, end - begin));
  }
};
struct Replace {
  Pattern pattern;
  std::string content;
  void operator()(Normalized& x) const {
    std::vector<Stretch> stretches;
    pattern.find(x.text, stretches);
    std::string out;
    out.reserve(x.text.size());
    std::size_t lead = 0;
    for (const Stretch& s : stretches) {
      // What stands for several characters counts as standing in the place of the last one.
      if (s.end <= x.lead) lead += s.match ? content.size() : s.end - s.begin;
      if (s.end > x.lead && s.begin < x.lead && !s.match) lead += x.lead - s.begin;
      s.match ? out += content : out.append(x.text, s.begin, s.end - s.begin);
    }
    x.text = std::move(out), x.lead = lead;
  }
};
struct Prepend {
  std::string content;
  void operator()(Normalized& x) const {
    if (!x.text.empty()) x.text.insert(0, content), x.lead += content.size();
  }
};
/// BERT's cleaning: control characters leave, white space becomes a blank, ideographs stand alone, accents leave.
struct Bert {
  bool clean, cjk, accents, lower;
  void operator()(Normalized& x) const {
    if (clean) {
      rewrite(x, [](std::string& out, char32_t c) {
        const bool kept = c == '\t' || c == '\n' || c == '\r';
        if (c == 0 || c == 0xfffd || (!kept && unicode::is_other(c))) return;
        utf8::append(out, unicode::is_space(c) ? U' ' : c);
      });
    }
    if (cjk) {
      rewrite(x, [](std::string& out, char32_t c) {
        if (!unicode::is_cjk(c)) return utf8::append(out, c);
        out += ' ', utf8::append(out, c), out += ' ';
      });
    }
    if (accents) {
      Form{unicode::NormalForm::d}(x);
      rewrite(x, [](std::string& out, char32_t c) {
        if (!unicode::is_nonspacing_mark(c)) utf8::append(out, c);
      });
    }
    if (lower) rewrite(x, unicode::append_lower);
  }
};
/// SentencePiece's treatment of control characters and unusual blanks.
struct Nmt {
  void operator()(Normalized& x) const {
    rewrite(x, [](std::string& out, char32_t c) {
      if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) return;
      const bool blank = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
      utf8::append(out, blank ? U' ' : c);
    });
  }
};
struct Precompiled {
  std::shared_ptr<const Charsmap> map;
  void operator()(Normalized& x) const {
    const std::size_t lead = (*map)(std::string_view(x.text).substr(0, x.lead)).size();
    x.lead = std::max(lead, std::min<std::size_t>(x.lead, 1));  // what leaves in front hands its place on
    x.text = (*map)(x.text);
  }
};

}  // namespace normalizers

/// The 256 characters that stand for bytes: those that print for themselves, the rest from U+0100 on. GPT-2's encoder.py
inline char32_t byte_character(unsigned char byte) {
  const auto prints = [](unsigned b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  if (prints(byte)) return byte;
  char32_t c = 0x100;
  for (unsigned b = 0; b < byte; ++b) c += prints(b) ? 0 : 1;
  return c;
}
inline void append_byte_characters(std::string& out, std::string_view text) {
  static const auto table = [] {
    std::vector<std::string> t(256);
    for (unsigned b = 0; b < 256; ++b) utf8::append(t[b], byte_character(static_cast<unsigned char>(b)));
    return t;
  }();
  for (const char c : text) out += table[static_cast<unsigned char>(c)];
}

namespace normalizers {
struct ByteLevel {
  void operator()(Normalized& x) const {
    std::string out;
    append_byte_characters(out, x.text.substr(0, x.lead));
    x.lead = out.size(), out.clear();
    append_byte_characters(out, x.text);
    x.text = std::move(out);
  }
};
}  // namespace normalizers

/// What is done to a text before it is cut, in order.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(const json::Value& part) { read(part); }

  bool empty() const { return steps_.empty(); }
  Normalized operator()(std::string_view text) const {
    Normalized x{std::string(text), text.empty() ? 0 : utf8::length(text[0])};
    for (const Step& step : steps_) step(x);
    return x;
  }

  using Step = std::function<void(Normalized&)>;
  void add(Step step) { steps_.push_back(std::move(step)); }

 private:
  void read(const json::Value& part) {
    using unicode::NormalForm;
    const std::string type = type_of(part);
    if (type == "Sequence") {
      allow_keys(part, "normalizer Sequence", {"normalizers"});
      for (const json::Value& one : part.at("normalizers").elements("normalizers")) read(one);
    } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
      allow_keys(part, type, {});
      const bool composed = type.back() == 'C', compatible = type[2] == 'K';
      add(normalizers::Form{composed ? (compatible ? NormalForm::kc : NormalForm::c) : (compatible ? NormalForm::kd : NormalForm::d)});
    } else if (type == "Lowercase") {
      allow_keys(part, type, {});
      add(normalizers::Lowercase{});
    } else if (type == "StripAccents") {
      allow_keys(part, type, {});
      add(normalizers::StripAccents{});
    } else if (type == "Strip") {
      allow_keys(part, "normalizer Strip", {"strip_left", "strip_right"});
      add(normalizers::Strip{part.flag("strip_left"), part.flag("strip_right")});
    } else if (type == "Replace") {
      allow_keys(part, "normalizer Replace", {"pattern", "content"});
      add(normalizers::Replace{Pattern::read(part.at("pattern"), "normalizer Replace"), part.text("content")});
    } else if (type == "Prepend") {
      allow_keys(part, "normalizer Prepend", {"prepend"});
      add(normalizers::Prepend{part.text("prepend")});
    } else if (type == "BertNormalizer") {
      allow_keys(part, type, {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
      const bool lower = part.flag("lowercase");
      add(normalizers::Bert{part.flag("clean_text"), part.flag("handle_chinese_chars"), part.flag("strip_accents", lower), lower});
    } else if (type == "Nmt") {
      allow_keys(part, type, {});
      add(normalizers::Nmt{});
    } else if (type == "Precompiled") {
      allow_keys(part, "normalizer Precompiled", {"precompiled_charsmap"});
      const auto blob = decode_base64(part.text("precompiled_charsmap"));
      if (!blob) fail(Errc::bad_input, "precompiled_charsmap is not base64");
      add(normalizers::Precompiled{std::make_shared<const Charsmap>(*blob)});
    } else if (type == "ByteLevel") {
      allow_keys(part, "normalizer ByteLevel", {});
      add(normalizers::ByteLevel{});
    } else {
      refuse_type("normalizer", type,
                  "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Replace, Prepend, BertNormalizer, Nmt, "
                  "Precompiled and ByteLevel");
    }
  }

  std::vector<Step> steps_;
};

}  // namespace espalier::inline v0::text
