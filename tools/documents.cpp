// SPDX-License-Identifier: MIT
#include "documents.hpp"

#include <utility>
#include <vector>

#include "trouble.hpp"

namespace espalier::tool {

TokenFile in_documents(const TokenFile& file, const DocumentRequest& asked, const json::Value& config) {
  const bool apart = !file.tokens().ends.empty();
  if (asked.end < 0 && (apart || !asked.packed)) return file;
  std::vector<int> last;
  const auto add = [&](Index id) {
    if (id >= 0 && std::in_range<int>(id)) last.push_back(int(id));
  };
  if (asked.end >= 0) {
    add(asked.end);
  } else if (const json::Value* eos = config.find("eos_token_id"); eos != nullptr && eos->is_array()) {
    for (const json::Value& id : eos->elements("eos_token_id")) add(id.as_index("eos_token_id"));
  } else if (eos != nullptr && !eos->is_null()) {
    add(eos->as_index("eos_token_id"));
  }
  const std::string hint = "--document-end N says which token ends a document; a .jsonl has a document a line";
  if (last.empty()) {
    throw Trouble{Errc::usage, file.source() + ": one text, and config.json has no eos_token_id that ends documents", "--packing documents", hint};
  }
  return within(asked.packed ? "--packing documents" : "--document-end", hint, [&] { return file.in_documents(last); });
}

}  // namespace espalier::tool
