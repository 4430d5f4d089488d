// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/data/tokens.hpp>
#include <espalier/io/json.hpp>

namespace espalier::tool {

/// Where documents end in a file of tokens.
struct DocumentRequest {
  bool packed = false;  ///< they are to share windows
  Index end = -1;       ///< the token that ends one; -1: what config.json calls eos_token_id, where documents are packed
};

/// The file as it is, or as the documents that it holds. Refuses one in which they cannot be told apart.
TokenFile in_documents(const TokenFile& file, const DocumentRequest& asked, const json::Value& config);

}  // namespace espalier::tool
