// SPDX-License-Identifier: MIT
#include "data.hpp"

#include <espalier/data/tokenizer/tokenizer.hpp>

#include "trouble.hpp"
#if __has_include(<xtensor/xtensor_config.hpp>) || __has_include(<xtensor/core/xtensor_config.hpp>)
#include <espalier/io/npy.hpp>
#define ESPALIER_TOOL_READS_NPY 1
#endif

namespace espalier::tool {

TokenFile read_data(const std::string& path, const std::string& model) {
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

}  // namespace espalier::tool
