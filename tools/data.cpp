// SPDX-License-Identifier: MIT
#include "data.hpp"

#include <espalier/data/tokenizer/tokenizer.hpp>

#include "task.hpp"
#include "trouble.hpp"
#if __has_include(<xtensor/xtensor_config.hpp>) || __has_include(<xtensor/core/xtensor_config.hpp>)
#include <espalier/io/npy.hpp>
#define ESPALIER_TOOL_READS_NPY 1
#endif

namespace espalier::tool {

TokenFile read_tokens(const std::string& path, const std::string& model) {
  if (path.ends_with(".npy")) {
#if defined(ESPALIER_TOOL_READS_NPY)
    return TokenFile(read_npy_tokens(path));
#else
    throw Trouble{Errc::unsupported, path + ": this build reads no .npy", "",
                  "build with xtensor, or write a .bin: numpy.ndarray.tofile of uint16"};
#endif
  }
  TokenFile file(path);
  if (!file.tokens().bytes || model.empty() || tokenizer_file(model).empty()) return file;
  Tokenizer tokenizer = Tokenizer::from(model);
  return TokenFile(tokenized(file.tokens(), tokenizer));
}

DataSet read_text_data(const std::string& path, const std::string& model, const TextOptions& options, bool labelled) {
  if (!path.ends_with(".jsonl") && (labelled || !path.ends_with(".txt"))) {
    throw Trouble{Errc::usage, format("{}: this model reads .jsonl{}", path, labelled ? "" : " and .txt"), "",
                  labelled ? "an object a line, as {\"sentence1\": \"...\", \"sentence2\": \"...\", \"label\": 0}"
                           : "an object a line, as {\"text\": \"...\"}, or plain text"};
  }
  Tokenizer tokenizer = Tokenizer::from(model);
  if (labelled) return TextExamples(read_texts(path, tokenizer, options));
  return MaskedExamples(read_masked_texts(path, tokenizer, options));
}

DataSet read_image_data(const std::string& path, const ImageOptions& options) {
  if (!path.ends_with(".npy")) {
    throw Trouble{Errc::usage, path + ": images are read from .npy", "",
                  "numpy.save of (images, channels, height, width), and of their labels beside it: x.labels.npy for x.npy"};
  }
  return ImageExamples(read_images(path, labels_beside(path), options));
}

std::vector<int> sample(const Tokens& tokens, Index length) {
  std::vector<int> out;
  for (Index i = 0; i < length; ++i) out.push_back(tokens.ids[std::size_t(i % tokens.size())]);
  return out;
}

}  // namespace espalier::tool
