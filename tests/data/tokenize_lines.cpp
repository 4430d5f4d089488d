// SPDX-License-Identifier: MIT
// For tests/python/check_tokenizers.py. Standard input: texts, each behind its length (32 bits); standard output: for
// each its ids behind their number, and the decoded text behind its length.      tokenize_lines <tokenizer.json>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <espalier/data/tokenizer/tokenizer.hpp>

using namespace espalier;

int main(int count, char** arguments) try {
  if (count != 2) return 2;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto begun = now();
  Tokenizer tokenizer = Tokenizer::from(arguments[1]);
  const auto loaded = now();
  std::vector<std::string> texts;
  for (std::uint32_t n = 0; std::fread(&n, sizeof n, 1, stdin) == 1;) {
    std::string text(n, '\0');
    if (std::fread(text.data(), 1, n, stdin) != n) return 2;
    texts.push_back(std::move(text));
  }
  std::size_t bytes = 0;
  std::vector<std::vector<int>> all;
  const auto read = now();
  for (const std::string& text : texts) bytes += text.size(), all.push_back(tokenizer.encode(text));
  const auto encoded = now();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto n = static_cast<std::uint32_t>(all[i].size());
    std::fwrite(&n, sizeof n, 1, stdout), std::fwrite(all[i].data(), sizeof(int), n, stdout);
    const std::string decoded = tokenizer.decode(all[i], i % 2 == 0);
    const auto m = static_cast<std::uint32_t>(decoded.size());
    std::fwrite(&m, sizeof m, 1, stdout), std::fwrite(decoded.data(), 1, m, stdout);
  }
  const auto seconds = [](auto a, auto b) { return std::chrono::duration<double>(b - a).count(); };
  std::fprintf(stderr, "loaded in %.3f s, %.2f MB at %.2f MB/s\n", seconds(begun, loaded), double(bytes) / 1e6,
               double(bytes) / 1e6 / seconds(read, encoded));
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
