// SPDX-License-Identifier: MIT
// Any bytes as JSON, against nlohmann::json: what is accepted here is accepted there, and survives writing and reading.
#include <cstdint>
#include <cstdlib>
#include <espalier/io/json.hpp>
#include <nlohmann/json.hpp>
#include <string>

using namespace espalier;

namespace {

bool same(const json::Value& ours, const nlohmann::json& theirs) {
  switch (ours.kind()) {
    case json::Kind::null: return theirs.is_null();
    case json::Kind::boolean: return theirs.is_boolean() && theirs.get<bool>() == ours.as_bool();
    case json::Kind::string: return theirs.is_string() && theirs.get_ref<const std::string&>() == ours.as_string();
    case json::Kind::number:
      if (ours.is_integer()) return theirs.is_number_integer() && theirs.dump() == ours.dump();
      return theirs.is_number() && theirs.get<double>() == ours.as_double();
    case json::Kind::array: {
      if (!theirs.is_array() || static_cast<std::size_t>(ours.size()) != theirs.size()) return false;
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        if (!same(ours.elements()[i], theirs[i])) return false;
      }
      return true;
    }
    default: {
      if (!theirs.is_object() || static_cast<std::size_t>(ours.size()) != theirs.size()) return false;
      for (const auto& [key, value] : ours.members()) {
        const auto found = theirs.find(key);
        if (found == theirs.end() || !same(value, *found)) return false;
      }
      return true;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  json::Value value;
  try {
    value = json::parse(text);
  } catch (const json::SyntaxError&) {
    return 0;
  }
  const nlohmann::json theirs = nlohmann::json::parse(text, nullptr, false);
  if (theirs.is_discarded() || !same(value, theirs)) std::abort();
  if (json::parse(value.dump()) != value || json::parse(value.dump(2)) != value) std::abort();
  json::Cursor in(text);
  in.skip();
  in.finish();
  return 0;
}
