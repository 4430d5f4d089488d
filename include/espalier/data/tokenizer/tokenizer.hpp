// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <espalier/data/tokenizer/added_tokens.hpp>
#include <espalier/data/tokenizer/bpe.hpp>
#include <espalier/data/tokenizer/decoder.hpp>
#include <espalier/data/tokenizer/post_processor.hpp>
#include <espalier/data/tokenizer/tokenizer_file.hpp>
#include <espalier/data/tokenizer/unigram.hpp>
#include <espalier/data/tokenizer/wordpiece.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/path.hpp>

namespace espalier::inline v0 {

/// Text to token ids and back, from a tokenizer.json of Hugging Face or a vocab.txt of BERT, with the same ids as
/// their library. What a file asks for that is not computed here is refused by name when it is read.
///
///     Tokenizer tokenizer = Tokenizer::from("path/to/model");
///     const std::vector<int> ids = tokenizer.encode("Hello, world");        // with what the model wants around it
///     const std::string text = tokenizer.decode(ids);
///
/// Text that is not UTF-8 is read as Python's errors="replace" reads it. One thread at a time: words are remembered.
class Tokenizer {
 public:
  /// A directory with tokenizer.json or vocab.txt, or one of these files.
  static Tokenizer from(const std::string& path) {
    std::string file = path, name = io::base_name(path);
    if (io::is_directory(path)) {
      name = tokenizer_file(path);
      if (name.empty()) {
        const std::string other = other_tokenizer(path);
        fail(Errc::bad_input, "{}: no tokenizer.json and no vocab.txt in this directory{}{}\n  hint: transformers makes the former: "
             "AutoTokenizer.from_pretrained(\"{}\").save_pretrained(\"{}\")", path, other.empty() ? "" : ", but ", other,
             other.empty() ? "NAME" : path, path);
      }
      file = io::resolve_inside(path, name);
    }
    if (name.ends_with(".txt")) return from_vocabulary(io::read_file(file), file, settings_beside(path));
    return parse(io::read_file(file, std::uint64_t{256} << 20), file);
  }

  /// The text of a tokenizer.json.
  static Tokenizer parse(std::string_view text, std::string_view source = "tokenizer.json") {
    return text::within(source, [&] { return Tokenizer(json::parse(text, "JSON")); });
  }
  /// The text of a vocab.txt, a token a line, and the settings of tokenizer_config.json.
  static Tokenizer from_vocabulary(std::string_view lines, std::string_view source = "vocab.txt", const json::Value& settings = {}) {
    return text::within(source, [&] { return Tokenizer(lines, settings); });
  }

  /// `special`: with the tokens that the model wants around a text, as [CLS] and [SEP], or a beginning of sequence.
  std::vector<int> encode(std::string_view text, bool special = true) {
    return processed({{ids_of(text), {}}}, special).ids;
  }
  Encoding encode_pair(std::string_view first, std::string_view second, bool special = true) {
    return processed({{ids_of(first), {}}, {ids_of(second), {}}}, special);
  }
  /// Puts what the model wants around the ids of one text, or of two: somebody has cut them to length.
  Encoding around(std::vector<int> ids) const { return processed({{std::move(ids), {}}}, true); }
  Encoding around(std::vector<int> first, std::vector<int> second) const {
    return processed({{std::move(first), {}}, {std::move(second), {}}}, true);
  }

  std::string decode(const std::vector<int>& ids, bool skip_special = true) const {
    std::vector<std::string> tokens;
    for (const int id : ids) {
      std::string_view token;
      if (added_.find(id) != nullptr) {
        token = added_.text(id);
      } else if (const std::string* own = model_token(id)) {
        token = *own;
      } else {
        continue;  // an id of no token is left out, as it is by the library that made the file
      }
      if (!skip_special || !added_.is_special(token)) tokens.emplace_back(token);
    }
    return decoder_(std::move(tokens));
  }

  /// Different tokens; a model may have more rows than that.
  Index vocab_size() const { return size_; }
  /// The id of a token, or −1.
  int id(std::string_view token) const {
    const int added = added_.id(token);
    return added >= 0 ? added : model_id(token);
  }
  /// The token with this id, as the file spells it.
  const std::string& token(int id) const {
    if (const text::AddedToken* added = added_.find(id)) return added->content;
    const std::string* own = model_token(id);
    require(own != nullptr, "token {}: there is none in this vocabulary of {}", id, size_);
    return *own;
  }
  bool is_special(int id) const {
    const text::AddedToken* added = added_.find(id);
    return added != nullptr && added->special;
  }

 private:
  using Model = std::variant<text::Bpe, text::Unigram, text::WordPiece>;

  explicit Tokenizer(const json::Value& file) : model_(text::within("model", [&] { return read_model(file.at("model")); })) {
    // Truncation and padding are settings of a batch, and batches are made elsewhere.
    text::allow_keys(file, "tokenizer.json", {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                                              "post_processor", "decoder", "model"});
    if (file.text("version", "1.0") != "1.0") {
      fail(Errc::unsupported, "version {} of the format, expected 1.0", printable(file.text("version")));
    }
    if (file.given("normalizer")) normalizer_ = text::Normalizer(file.at("normalizer"));
    if (file.given("pre_tokenizer")) pre_tokenizer_ = text::PreTokenizer(file.at("pre_tokenizer"));
    if (file.given("post_processor")) post_processor_ = text::PostProcessor(file.at("post_processor"));
    if (file.given("decoder")) decoder_ = text::Decoder(file.at("decoder"));
    size_ = model_size();
    if (file.given("added_tokens")) text::within("added_tokens", [&] { read_added(file.at("added_tokens")); });
    added_.prepare();
  }

  explicit Tokenizer(std::string_view lines, const json::Value& settings)
      : model_(text::WordPiece(read_lines(lines), settings.text("unk_token", "[UNK]"))) {
    // Other kinds have a vocab.txt too.
    std::string kind = settings.text("tokenizer_class", "BertTokenizer");
    if (kind.ends_with("Fast")) kind.resize(kind.size() - 4);
    constexpr std::string_view known[] = {"BertTokenizer",       "DistilBertTokenizer", "ElectraTokenizer",
                                          "MobileBertTokenizer", "ConvBertTokenizer",   "SqueezeBertTokenizer"};
    if (std::find(std::begin(known), std::end(known), kind) == std::end(known)) {
      fail(Errc::unsupported, "vocab.txt is read as BERT's, and tokenizer_config.json says {}. Hint: save it as tokenizer.json", printable(kind));
    }
    const bool lower = settings.flag("do_lower_case", true), cjk = settings.flag("tokenize_chinese_chars", true);
    normalizer_.add(text::normalizers::Bert{true, cjk, settings.flag("strip_accents", lower), lower});
    pre_tokenizer_.add_bert();
    decoder_.add_wordpiece();
    size_ = model_size();
    for (const auto& [key, usual] : {std::pair{"unk_token", "[UNK]"}, std::pair{"sep_token", "[SEP]"}, std::pair{"pad_token", "[PAD]"},
                                     std::pair{"cls_token", "[CLS]"}, std::pair{"mask_token", "[MASK]"}}) {
      const std::string name = settings.text(key, usual);
      if (const int own = model_id(name); own >= 0) added_.add({.id = own, .content = name, .special = true}, normalizer_);
    }
    added_.prepare();
    const std::string cls = settings.text("cls_token", "[CLS]"), sep = settings.text("sep_token", "[SEP]");
    for (const std::string& name : {cls, sep})
      if (model_id(name) < 0) fail(Errc::bad_input, "{} is not in the vocabulary, and BERT puts it around every text", printable(name));
    post_processor_ = text::PostProcessor::bert(model_id(cls), model_id(sep));
  }

  static json::Value settings_beside(const std::string& path) {
    const std::string directory = io::is_directory(path) ? path : io::parent(path), name = "tokenizer_config.json";
    if (!io::exists(io::join(directory, name))) return json::Value::object();
    return json::read_file(io::resolve_inside(directory, name));
  }
  static text::Vocabulary read_lines(std::string_view lines) {
    std::map<std::string, int, std::less<>> last;  // of a token that stands twice the later line counts
    for (int id = 0; !lines.empty(); ++id) {
      std::string_view line = lines.substr(0, lines.find('\n'));
      lines.remove_prefix(std::min(line.size() + 1, lines.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!json::is_utf8(line)) fail(Errc::bad_input, "line {} is not UTF-8", id + 1);
      last[std::string(line)] = id;
    }
    return text::Vocabulary({last.begin(), last.end()});
  }

  static Model read_model(const json::Value& model) {
    if (!model.is_object()) fail(Errc::bad_input, "expected an object");
    std::string type = model.text("type", "");
    if (type.empty()) {  // old files do not say
      const json::Value* vocabulary = model.find("vocab");
      type = model.contains("merges")                                     ? "BPE"
             : model.contains("max_input_chars_per_word")                 ? "WordPiece"
             : vocabulary != nullptr && vocabulary->is_array()            ? "Unigram"
                                                                          : "";
    }
    if (type == "BPE") return text::Bpe(model);
    if (type == "Unigram") return text::Unigram(model);
    if (type == "WordPiece") return text::WordPiece(model);
    text::refuse_type("model", type, "BPE, Unigram and WordPiece");
  }

  void read_added(const json::Value& list) {
    const Index own = model_size();
    Index next = own;
    for (const json::Value& entry : list.elements("added_tokens")) {
      text::allow_keys(entry, "an added token", {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      text::AddedToken token;
      token.content = entry.text("content");
      const int stated = text::Vocabulary::read_id(entry.at("id"), "id");
      token.single_word = entry.flag("single_word"), token.lstrip = entry.flag("lstrip"), token.rstrip = entry.flag("rstrip");
      token.normalized = entry.flag("normalized"), token.special = entry.flag("special");
      if (token.content.empty()) continue;
      const int known = id(token.content);
      token.id = known >= 0 ? known : int(next);
      if (token.id != stated) {
        fail(Errc::bad_input,
             "{} is said to be {}, but {}: the library that wrote the file would go by that. Hint: correct the file",
             printable(token.content), stated,
             known >= 0 ? format("is {} in the vocabulary", known) : format("the next free id is {}", token.id));
      }
      if (known < 0) ++next;
      added_.add(std::move(token), normalizer_);
    }
    size_ = own + (next - own);
  }

  const std::string* model_token(Index id) const {
    if (const auto* unigram = std::get_if<text::Unigram>(&model_)) return unigram->name(id);
    const text::Vocabulary& v = vocabulary();
    return v.has(id) ? &v[id] : nullptr;
  }
  int model_id(std::string_view token) const {
    const auto* unigram = std::get_if<text::Unigram>(&model_);
    return unigram != nullptr ? unigram->find(token) : vocabulary().find(token);
  }
  Index model_size() const {
    const auto* unigram = std::get_if<text::Unigram>(&model_);
    return unigram != nullptr ? unigram->size() : vocabulary().size();
  }
  const text::Vocabulary& vocabulary() const {
    const auto* bpe = std::get_if<text::Bpe>(&model_);
    return bpe != nullptr ? bpe->vocabulary() : std::get<text::WordPiece>(model_).vocabulary();
  }

  std::vector<int> ids_of(std::string_view given) {
    require(given.size() < std::size_t{1} << 30, "a text of {} bytes, at most 2^30 are tokenized at once: cut it into documents",
            given.size());
    std::string repaired;
    if (!json::is_utf8(given)) given = repaired = utf8::replace_invalid(given);
    std::vector<int> out;
    for (const auto& part : added_.split(given, false, 1)) {
      if (part.id >= 0) {
        out.push_back(part.id);
        continue;
      }
      text::Normalized normal = normalizer_(given.substr(part.begin, part.end - part.begin));
      text::Pieces pieces;
      pieces.all = added_.split(normal.text, true, part.lead > 0 ? normal.lead : 0);
      pieces.text = std::move(normal.text);
      if (pieces.text.empty()) continue;
      pre_tokenizer_(pieces);
      for (const auto& piece : pieces.all) {
        if (piece.id >= 0) {
          out.push_back(piece.id);
        } else {
          std::visit([&](auto& model) { model.encode(pieces[piece], out); }, model_);
        }
      }
    }
    return out;
  }
  Encoding processed(std::vector<Encoding> all, bool special) const {
    for (std::size_t i = 0; i < all.size(); ++i) all[i].types.assign(all[i].ids.size(), int(i));
    return post_processor_(std::move(all), special);
  }

  Model model_;
  text::Normalizer normalizer_;
  text::PreTokenizer pre_tokenizer_;
  text::PostProcessor post_processor_;
  text::Decoder decoder_;
  text::AddedTokens added_;
  Index size_ = 0;
};

}  // namespace espalier::inline v0
