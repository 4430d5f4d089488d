// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <espalier/data/batches.hpp>
#include <espalier/data/binary.hpp>
#include <espalier/data/jsonl.hpp>
#include <espalier/data/text.hpp>
#include <espalier/data/token_list.hpp>
#include <espalier/data/tokenized.hpp>

namespace espalier::inline v0 {

/// Token ids out of a file, by its ending: .bin (nanoGPT or llm.c), .jsonl (ids or texts), .txt (text); arrays of .npy
/// through io/npy.hpp. Text is read as bytes for models of bytes, or goes through a tokenizer.
///
///     TokenFile data("train.bin");                           or TokenFile data("train.txt", tokenizer);
///     data.check(model.config.vocab);
///     for (Batch batch : data.batches({.size = 8, .length = 256, .steps = 400})) …
class TokenFile {
 public:
  explicit TokenFile(const std::string& path) : TokenFile(read(path)) {}
  template <class Tokenizer>
    requires requires(Tokenizer& t) { t.encode(std::string()); }
  TokenFile(const std::string& path, Tokenizer& tokenizer) : TokenFile(tokenized(read(path), tokenizer)) {}
  explicit TokenFile(Tokens tokens) : tokens_(std::make_shared<const Tokens>(std::move(tokens))) {}
  /// Ids that are in memory already; columns > 0: rows of that many are documents.
  static TokenFile of(std::vector<int> ids, Index columns = 0, std::string source = "token ids") {
    Tokens t;
    t.source = std::move(source), t.ids = std::move(ids);
    require(columns == 0 || t.size() % columns == 0, "{}: {} ids are not rows of {}", t.source, t.size(), columns);
    for (Index end = columns; columns > 0 && end <= t.size(); end += columns) t.ends.push_back(end);
    return TokenFile(std::move(t));
  }
  /// What read_npy_tokens gives: ids, columns and source.
  template <class Array>
    requires requires(const Array& a) { a.ids, a.columns, a.source; }
  explicit TokenFile(Array array) : TokenFile(of(std::move(array.ids), array.columns, array.source)) {}

  const Tokens& tokens() const { return *tokens_; }
  Index size() const { return tokens_->size(); }
  const std::string& source() const { return tokens_->source; }
  /// Refuses ids that the model does not know, and text for a model that does not read bytes.
  void check(Index vocabulary) const { tokens_->check(vocabulary); }
  Batches batches(const BatchOptions& options = {}) const { return {tokens_, options}; }

  /// As documents, each of which ends with one of these ids, which nanoGPT's and llm.c's files have between texts.
  TokenFile in_documents(std::vector<int> last) const { return TokenFile(tokens_->in_documents(last)); }

  /// The first part to train on and the last `share` to validate with, by documents where there are some.
  std::pair<TokenFile, TokenFile> split(double share = 0.1) const {
    require(share > 0 && share < 1, "{}: a share of {} to validate with, expected 0 < share < 1", source(), share);
    const Index n = tokens_->ends.empty() ? size() : tokens_->documents();
    const auto last = std::min(n, std::max<Index>(1, Index(double(n) * share + 0.5)));
    return {TokenFile(tokens_->part(0, n - last)), TokenFile(tokens_->part(n - last, n))};
  }

 private:
  static Tokens read(const std::string& path) {
    const auto dot = path.rfind('.');
    const std::string ending = dot == std::string::npos ? "" : path.substr(dot);
    if (ending == ".bin") return read_binary_tokens(path);
    if (ending == ".jsonl") return read_jsonl_tokens(path);
    if (ending == ".txt") return read_text_tokens(path);
    if (ending == ".npy") fail(Errc::usage, "{}: read it with read_npy_tokens of espalier/io/npy.hpp", path);
    fail(Errc::usage, "{}: expected token ids (.bin, .npy, .jsonl) or a text (.txt)", path);
  }

  std::shared_ptr<const Tokens> tokens_;
};

}  // namespace espalier::inline v0
