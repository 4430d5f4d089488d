// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json_cursor.hpp>
#include <espalier/io/json_write.hpp>

namespace espalier::inline v0::json {

class Value;

template <class V>  // a template, so that Value may hold members while it is being defined
struct MemberOf {
  std::string key;
  V value;
  friend bool operator==(const MemberOf&, const MemberOf&) = default;
};
using Member = MemberOf<Value>;

/// A JSON value. Objects keep the order of their keys, so that what we do not understand survives a load and a save.
///
///     const auto config = json::parse(text, "config.json");
///     const Index heads = config.index("num_attention_heads");
///     const double theta = config.number("rope_theta", 10000.0);     // missing or null: the default
class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;

  Value() = default;
  Value(std::nullptr_t) {}
  template <std::same_as<bool> B>
  Value(B x) : data_(x) {}
  template <std::integral Number>
    requires(!std::same_as<Number, bool> && !std::same_as<Number, char>)
  Value(Number x) {
    if (std::in_range<std::int64_t>(x)) {
      data_ = static_cast<std::int64_t>(x);
    } else {
      data_ = static_cast<std::uint64_t>(x);
    }
  }
  template <std::floating_point F>
  Value(F x) : data_(static_cast<double>(x)) {}
  Value(std::string x) : data_(std::move(x)) {}
  Value(std::string_view x) : data_(std::string(x)) {}
  Value(const char* x) : data_(std::string(x)) {}
  Value(Array x) : data_(std::move(x)) {}
  template <class T>
    requires std::constructible_from<Value, const T&>
  Value(const std::vector<T>& x) : data_(Array(x.begin(), x.end())) {}
  static Value array() { return Value(Array()); }
  static Value object(std::initializer_list<Member> members = {});

  Kind kind() const {
    constexpr Kind kinds[] = {Kind::null,   Kind::boolean, Kind::number, Kind::number,
                              Kind::number, Kind::string,  Kind::array,  Kind::object};
    return kinds[data_.index()];
  }
  bool is_null() const { return kind() == Kind::null; }
  bool is_bool() const { return kind() == Kind::boolean; }
  bool is_number() const { return kind() == Kind::number; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_array() const { return kind() == Kind::array; }
  bool is_object() const { return kind() == Kind::object; }
  /// A whole number written as one and within 64 bits.
  bool is_integer() const { return data_.index() == 2 || data_.index() == 3; }

  // What the value holds; anything else is an error that says `name`. No conversion but integer to double.
  bool as_bool(std::string_view name = "value") const { return *held<bool>(name, "true or false"); }
  const std::string& as_string(std::string_view name = "value") const { return *held<std::string>(name, "a string"); }
  Index as_index(std::string_view name = "value") const {
    return static_cast<Index>(*held<std::int64_t>(name, "an integer within 63 bits"));
  }
  std::uint64_t as_uint64(std::string_view name = "value") const {
    if (const auto* u = std::get_if<std::uint64_t>(&data_)) return *u;
    const auto* i = std::get_if<std::int64_t>(&data_);
    if (i == nullptr || *i < 0) refuse(name, "an integer from 0 to 2^64 - 1");
    return static_cast<std::uint64_t>(*i);
  }
  double as_double(std::string_view name = "value") const {
    if (const auto* i = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*i);
    if (const auto* u = std::get_if<std::uint64_t>(&data_)) return static_cast<double>(*u);
    return *held<double>(name, "a number");
  }
  const Array& elements(std::string_view name = "value") const { return *held<Array>(name, "an array"); }
  Array& elements(std::string_view name = "value") { return const_cast<Array&>(std::as_const(*this).elements(name)); }
  const Object& members(std::string_view name = "value") const { return *held<Object>(name, "an object"); }
  Object& members(std::string_view name = "value") { return const_cast<Object&>(std::as_const(*this).members(name)); }
  Index size() const;  ///< of an array or an object, else 0

  // Objects.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  const Value& at(std::string_view key) const {
    const Value* found = find(key);
    if (found == nullptr) fail(Errc::bad_input, "{} is missing", printable(key));
    return *found;
  }
  const Value& at(Index i) const {
    const Array& all = elements();
    require(i >= 0 && i < static_cast<Index>(all.size()), "element {} of an array of {}", i, all.size());
    return all[static_cast<std::size_t>(i)];
  }
  /// Replaces the value in its place, or adds it at the end. A null becomes an object first.
  Value& set(std::string_view key, Value value);
  void erase(std::string_view key);
  /// A null becomes an array first.
  void push_back(Value value) {
    if (is_null()) data_ = Array();
    elements().push_back(std::move(value));
  }

  // A member by key and kind; with a default, a missing or null member is the default.
  Index index(std::string_view key) const { return at(key).as_index(key); }
  Index index(std::string_view key, Index otherwise) const { return given(key) ? index(key) : otherwise; }
  double number(std::string_view key) const { return at(key).as_double(key); }
  double number(std::string_view key, double otherwise) const { return given(key) ? number(key) : otherwise; }
  bool flag(std::string_view key) const { return at(key).as_bool(key); }
  bool flag(std::string_view key, bool otherwise) const { return given(key) ? flag(key) : otherwise; }
  const std::string& text(std::string_view key) const { return at(key).as_string(key); }
  std::string text(std::string_view key, std::string_view otherwise) const {
    return given(key) ? text(key) : std::string(otherwise);
  }
  /// The key is there and not null.
  bool given(std::string_view key) const {
    const Value* found = find(key);
    return found != nullptr && !found->is_null();
  }

  /// One line without spaces; or, with indent, as Python's json.dumps(indent=…) lays it out (strings stay UTF-8).
  std::string dump(int indent = -1) const {
    std::string out;
    write(out, indent, 0);
    return out;
  }

  friend bool operator==(const Value& a, const Value& b) { return a.data_ == b.data_; }

 private:
  template <class T>
  const T* held(std::string_view name, std::string_view wanted) const {
    const T* x = std::get_if<T>(&data_);
    if (x == nullptr) refuse(name, wanted);
    return x;
  }
  [[noreturn]] void refuse(std::string_view name, std::string_view wanted) const {
    constexpr std::string_view kinds[] = {"null",     "true or false", "an integer", "an integer beyond 63 bits",
                                          "a number", "a string",      "an array",   "an object"};
    fail(Errc::bad_input, "{} is {}, expected {}", printable(name), kinds[data_.index()], wanted);
  }
  void write(std::string& out, int indent, int level) const;

  std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data_;
};

inline Value Value::object(std::initializer_list<Member> members) {
  Value x;
  x.data_ = Object(members);
  return x;
}

inline Index Value::size() const {
  return static_cast<Index>(is_array() ? elements().size() : is_object() ? members().size() : 0);
}

inline const Value* Value::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& m : members()) {
    if (m.key == key) return &m.value;
  }
  return nullptr;
}

inline Value& Value::set(std::string_view key, Value value) {
  if (is_null()) data_ = Object();
  if (Value* found = find(key)) return *found = std::move(value);
  return members().emplace_back(Member{std::string(key), std::move(value)}).value;
}

inline void Value::erase(std::string_view key) {
  std::erase_if(members(), [&](const Member& m) { return m.key == key; });
}

inline void Value::write(std::string& out, int indent, int level) const {
  const auto new_line = [&](int at) {
    if (indent >= 0) out += '\n', out.append(static_cast<std::size_t>(indent * at), ' ');
  };
  const auto list = [&](char open, char close, const auto& items, auto&& each) {
    out += open;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ',';
      new_line(level + 1);
      each(items[i]);
    }
    if (!items.empty()) new_line(level);
    out += close;
  };
  switch (data_.index()) {
    case 0: out += "null"; break;
    case 1: out += std::get<bool>(data_) ? "true" : "false"; break;
    case 2: detail::append(out, std::get<std::int64_t>(data_)); break;
    case 3: detail::append(out, std::get<std::uint64_t>(data_)); break;
    case 4: append_number(out, std::get<double>(data_)); break;
    case 5: append_string(out, std::get<std::string>(data_)); break;
    case 6: list('[', ']', elements(), [&](const Value& v) { v.write(out, indent, level + 1); }); break;
    default:
      list('{', '}', members(), [&](const Member& m) {
        append_string(out, m.key);
        out += indent >= 0 ? ": " : ":";
        m.value.write(out, indent, level + 1);
      });
  }
}

namespace detail {

/// Index of a key that stands twice, or -1.
inline Index repeated_key(const Value::Object& members) {
  std::vector<std::uint32_t> order(members.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto i, auto j) { return members[i].key < members[j].key; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (members[order[i]].key == members[order[i - 1]].key) return static_cast<Index>(order[i]);
  }
  return -1;
}

inline Value parse_value(Cursor& in) {
  switch (in.kind()) {
    case Kind::null: return in.read_null(), Value();
    case Kind::boolean: return in.read_bool();
    case Kind::number: return std::visit([](auto x) { return Value(x); }, in.read_number());
    case Kind::string: {
      std::string text;
      in.read_string(text);
      return text;
    }
    case Kind::array: {
      Value all = Value::array();
      in.enter_array();
      while (in.next_element()) all.push_back(parse_value(in));
      return all;
    }
    default: break;
  }
  Value all = Value::object();
  Value::Object& members = all.members();
  std::string key;
  in.enter_object();
  while (in.next_member(key)) {
    Value value = parse_value(in);
    members.push_back({key, std::move(value)});
  }
  if (const Index twice = repeated_key(members); twice >= 0) {
    const std::string& name = members[static_cast<std::size_t>(twice)].key;
    in.refuse(Fault::duplicate_key, format("the object that ends here has the key {} twice", printable(name)));
  }
  return all;
}

}  // namespace detail

/// RFC 8259 to the letter: UTF-8 checked, no duplicate keys, no comments, no byte order mark, 64 levels at most.
inline Value parse(std::string_view text, std::string_view source = "JSON") {
  Cursor in(text, source);
  Value x = detail::parse_value(in);
  in.finish();
  return x;
}

}  // namespace espalier::inline v0::json
