// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/io/json.hpp>
#include <espalier/model/config_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// How a text is cut before BPE, as far as llama.cpp has a name for it.
struct GgufCutting {
  bool byte_level = true;    ///< else spaces are U+2581 and unknown characters bytes
  bool space_first = false;  ///< a text that does not begin with a space gets one
  std::string pre;           ///< byte_level: llama.cpp's name of the pattern
  std::vector<std::string> notes;

  static GgufCutting read(const ConfigReader& in, bool byte_fallback, bool ignore_merges) {
    const json::Value nothing, *const pre = in.given("pre_tokenizer") ? in.find("pre_tokenizer") : &nothing;
    const json::Value* const normalizer = in.given("normalizer") ? in.find("normalizer") : &nothing;
    return byte_fallback ? of_spaces(in, *normalizer, *pre) : of_bytes(in, *normalizer, *pre, ignore_merges);
  }

 private:
  static std::string type_of(const json::Value& v) { return v.is_object() ? v.text("type", "") : std::string(); }
  [[noreturn]] static void refuse(const ConfigReader& in, const char* key, const json::Value& value) {
    in.refuse("the {} {} is none that llama.cpp has a name for\n  hint: without tokenizer.json in the model's directory the file is "
              "written without a vocabulary, for token ids", key, in.shown(value));
  }

  static GgufCutting of_spaces(const ConfigReader& in, const json::Value& normalizer, const json::Value& pre) {
    GgufCutting cutting;
    cutting.byte_level = false;
    if (type_of(normalizer) == "Sequence") {  // spaces are replaced, and perhaps one put in front
      for (const json::Value& step : normalizer.at("normalizers").elements("normalizers")) {
        const bool prepend = type_of(step) == "Prepend" && step.text("prepend", "") == "\u2581";
        if (!prepend && !replaces_spaces(step)) refuse(in, "normalizer", step);
        cutting.space_first = cutting.space_first || prepend;
      }
      if (!pre.is_null()) refuse(in, "pre-tokenizer", pre);
    } else if (replaces_spaces(normalizer)) {
      if (!pre.is_null()) refuse(in, "pre-tokenizer", pre);
    } else {
      if (!normalizer.is_null()) refuse(in, "normalizer", normalizer);
      const std::string scheme = type_of(pre) == "Metaspace" ? pre.text("prepend_scheme", "always") : "";
      const bool plain = pre.is_object() && pre.text("replacement", "\u2581") == "\u2581" && !pre.flag("split", true);
      if (!plain || (scheme != "first" && scheme != "always" && scheme != "never")) refuse(in, "pre-tokenizer", pre);
      cutting.space_first = scheme != "never";
      if (cutting.space_first) {
        cutting.notes.push_back("llama.cpp puts a space before every text, this tokenizer only before those that begin without one");
      }
    }
    return cutting;
  }
  static bool replaces_spaces(const json::Value& step) {
    return type_of(step) == "Replace" && step.contains("pattern") && step.at("pattern").is_object() &&
           step.at("pattern").text("String", "") == " " && step.text("content", "") == "\u2581";
  }

  static GgufCutting of_bytes(const ConfigReader& in, const json::Value& normalizer, const json::Value& pre, bool ignore_merges) {
    GgufCutting cutting;
    if (type_of(normalizer) == "NFC") {
      cutting.notes.push_back("llama.cpp does not compose characters (NFC) before it cuts a text; hand it composed ones");
    } else if (!normalizer.is_null()) {
      refuse(in, "normalizer", normalizer);
    }
    const auto bytes = [](const json::Value& v, bool cuts) {
      return type_of(v) == "ByteLevel" && v.flag("use_regex", true) == cuts && !v.flag("add_prefix_space", true);
    };
    if (bytes(pre, true) && !ignore_merges) {
      cutting.pre = "gpt-2";
      return cutting;
    }
    if (type_of(pre) != "Sequence") refuse(in, "pre-tokenizer", pre);
    const json::Value& steps = pre.at("pretokenizers");
    if (!steps.is_array() || steps.size() != 2 || !bytes(steps.at(1), false)) refuse(in, "pre-tokenizer", pre);
    const json::Value& split = steps.at(0);
    if (type_of(split) != "Split" || split.text("behavior", "") != "Isolated" || split.flag("invert", false) || !split.contains("pattern") ||
        !split.at("pattern").is_object()) {
      refuse(in, "pre-tokenizer", split);
    }
    constexpr std::string_view tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                               head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
    const std::string pattern = split.at("pattern").text("Regex", "");
    const auto is = [&](std::string_view digits) { return pattern == std::string(head) + std::string(digits) + std::string(tail); };
    if (is(R"(\p{N}{1,3})")) {
      cutting.pre = ignore_merges ? "llama-bpe" : "smaug-bpe";
    } else if (is(R"(\p{N})") && !ignore_merges) {
      cutting.pre = "qwen2";
    } else {
      refuse(in, "pre-tokenizer", split);
    }
    return cutting;
  }
};

}  // namespace espalier::inline v0
