// SPDX-License-Identifier: MIT
// Any bytes as tokenizer.json, as vocab.txt, and as a text for tokenizers that were read: refused with an Error, or ids
// of the vocabulary, whose text is UTF-8. The first byte says which; a file and a text are parted by a byte 255.
#include <cstdint>
#include <cstdlib>
#include <espalier/data/tokenizer/tokenizer.hpp>

using namespace espalier;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void use(Tokenizer& tokenizer, std::string_view text) {
  try {
    for (const bool special : {true, false}) {
      const std::vector<int> ids = tokenizer.encode(text, special);
      for (const int id : ids) check(id >= 0);
      check(json::is_utf8(tokenizer.decode(ids, special)));
      const Encoding pair = tokenizer.encode_pair(text.substr(0, text.size() / 2), text.substr(text.size() / 2), special);
      check(pair.ids.size() == pair.types.size());
    }
  } catch (const Error& e) {
    check(e.code() == Errc::bad_input || e.code() == Errc::unsupported);
  }
}

std::vector<Tokenizer>& known() {
  static std::vector<Tokenizer> all = [] {
    std::vector<Tokenizer> list;
    for (const char* name : {"gpt2", "llama3", "qwen2", "gpt4o", "deepseek", "clip", "llama2", "mistral", "deberta_v3", "t5", "gemma", "albert",
                             "bert_uncased", "bert_cased", "words", "falcon"})
      list.push_back(Tokenizer::from(std::string(ESPALIER_TEST_DATA "/tokenizers/") + name + ".json"));
    return list;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t which = data[0];
  if (which < 16) {
    use(known()[which], rest);
    return 0;
  }
  const auto end = std::min(rest.find('\xff'), rest.size());
  const std::string_view file = rest.substr(0, end), text = rest.substr(std::min(end + 1, rest.size()));
  try {
    Tokenizer tokenizer = which < 32 ? Tokenizer::from_vocabulary(file) : Tokenizer::parse(file);
    use(tokenizer, text.empty() ? std::string_view("A text, na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 1234 <s>\n\xf0\x9f\x99\x82") : text);
  } catch (const Error& e) {
    check(e.code() == Errc::bad_input || e.code() == Errc::unsupported);
  }
  return 0;
}
