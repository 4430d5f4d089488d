// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <cstring>
#include <doctest/doctest.h>
#include <espalier/io/json.hpp>
#include <espalier/io/json_file.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;
using namespace std::string_literals;
using json::Fault;

namespace {

std::string nested(int levels, char open, char close) {
  return std::string(static_cast<std::size_t>(levels), open) + std::string(static_cast<std::size_t>(levels), close);
}

/// Equal as nlohmann sees it: same structure, same numbers, same bytes in strings.
bool same(const json::Value& ours, const nlohmann::json& theirs) {
  switch (ours.kind()) {
    case json::Kind::null: return theirs.is_null();
    case json::Kind::boolean: return theirs.is_boolean() && theirs.get<bool>() == ours.as_bool();
    case json::Kind::string: return theirs.is_string() && theirs.get<std::string>() == ours.as_string();
    case json::Kind::number:
      if (!ours.is_integer()) return theirs.is_number() && theirs.get<double>() == ours.as_double();
      return theirs.is_number_integer() && nlohmann::json::parse(ours.dump()) == theirs;
    case json::Kind::array:
      if (!theirs.is_array() || theirs.size() != static_cast<std::size_t>(ours.size())) return false;
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        if (!same(ours.elements()[i], theirs[i])) return false;
      }
      return true;
    default:
      if (!theirs.is_object() || theirs.size() != static_cast<std::size_t>(ours.size())) return false;
      for (const auto& [key, value] : ours.members()) {
        if (!theirs.contains(key) || !same(value, theirs[key])) return false;
      }
      return true;
  }
}

/// The splitmix64 generator: the tests' own, so that a run can be repeated.
struct Random {
  std::uint64_t state;
  std::uint64_t operator()() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t n) { return (*this)() % n; }
};

json::Value random_value(Random& random, int depth) {
  switch (random.below(depth > 0 ? 9 : 7)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return static_cast<std::int64_t>(random());
    case 3: return random();
    case 4: {
      const double x = std::bit_cast<double>(random());
      return std::isfinite(x) ? x : 0.5;
    }
    case 5: return static_cast<double>(static_cast<std::int64_t>(random.below(2000)) - 1000) / 8;
    case 6: {
      static const std::string pieces[] = {"a", "\"", "\\", "/", "\n", "\x01", "\x7f", "\xc3\xa9", "\xe2\x80\xa8", "\xf0\x9f\x98\x80", "\0"s, "hidden_size"};
      std::string text;
      for (auto n = random.below(6); n > 0; --n) text += pieces[random.below(std::size(pieces))];
      return text;
    }
    case 7: {
      json::Value all = json::Value::array();
      for (auto n = random.below(5); n > 0; --n) all.push_back(random_value(random, depth - 1));
      return all;
    }
    default: {
      json::Value all = json::Value::object();
      for (auto n = random.below(5); n > 0; --n) {
        const std::string key = random_value(random, 0).dump();
        all.set(key, random_value(random, depth - 1));
      }
      return all;
    }
  }
}

}  // namespace

TEST_CASE("each kind of malformed text is refused with its own fault, and nlohmann::json refuses it too") {
  struct Case {
    std::string name, text;
    Fault fault;
  };
  const Case cases[] = {
      {"nothing", "", Fault::ends_early},
      {"white space", " \n", Fault::ends_early},
      {"open object", "{", Fault::ends_early},
      {"open array", "[", Fault::ends_early},
      {"open string", "\"abc", Fault::ends_early},
      {"key alone", "{\"a\"", Fault::ends_early},
      {"key and colon", "{\"a\":", Fault::ends_early},
      {"cut word", "tru", Fault::ends_early},
      {"cut escape", "\"\\", Fault::ends_early},
      {"cut unicode escape", "\"\\u12", Fault::ends_early},
      {"minus alone", "-", Fault::ends_early},
      {"cut fraction", "1.", Fault::ends_early},
      {"cut exponent", "1e+", Fault::ends_early},
      {"comma behind the last element", "[1,]", Fault::unexpected},
      {"comma behind the last member", "{\"a\":1,}", Fault::unexpected},
      {"comma alone", "[,]", Fault::unexpected},
      {"missing comma", "[1 2]", Fault::unexpected},
      {"missing comma between members", "{\"a\":1 \"b\":2}", Fault::unexpected},
      {"missing colon", "{\"a\" 1}", Fault::unexpected},
      {"two colons", "{\"a\"::1}", Fault::unexpected},
      {"no key", "{1:2}", Fault::unexpected},
      {"bare key", "{a:1}", Fault::unexpected},
      {"single quotes", "{'a':1}", Fault::unexpected},
      {"wrong bracket", "[1}", Fault::unexpected},
      {"closing bracket", "]", Fault::unexpected},
      {"capital word", "True", Fault::unexpected},
      {"NaN", "NaN", Fault::unexpected},
      {"Infinity", "Infinity", Fault::unexpected},
      {"minus Infinity", "-Infinity", Fault::bad_number},
      {"plus sign", "+1", Fault::unexpected},
      {"leading point", ".5", Fault::unexpected},
      {"comment", "// x\n1", Fault::unexpected},
      {"comment behind", "[1/* x */]", Fault::unexpected},
      {"byte order mark", "\xef\xbb\xbf{}", Fault::unexpected},
      {"NUL", "\0"s, Fault::unexpected},
      {"no-break space", "\xc2\xa0{}", Fault::unexpected},
      {"vertical tab", "\v1", Fault::unexpected},
      {"leading zero", "01", Fault::bad_number},
      {"minus leading zero", "-01", Fault::bad_number},
      {"point without digits", "1.e5", Fault::bad_number},
      {"exponent without digits", "1e,", Fault::bad_number},
      {"two minus signs", "--1", Fault::bad_number},
      {"beyond a double", "1e999", Fault::out_of_range},
      {"far below zero", "-1e999", Fault::out_of_range},
      {"new line in a string", "\"a\nb\"", Fault::control},
      {"NUL in a string", "\"a\0b\""s, Fault::control},
      {"escape character in a string", "\"\x1b\"", Fault::control},
      {"unknown escape", "\"\\x41\"", Fault::bad_escape},
      {"escaped quote mark", "\"\\'\"", Fault::bad_escape},
      {"octal escape", "\"\\0\"", Fault::bad_escape},
      {"three digits", "\"\\u123\"", Fault::bad_escape},
      {"no hexadecimal digits", "\"\\u12g4\"", Fault::bad_escape},
      {"capital U", "\"\\U0041\"", Fault::bad_escape},
      {"lone high surrogate", "\"\\ud800\"", Fault::bad_escape},
      {"lone low surrogate", "\"\\udc00\"", Fault::bad_escape},
      {"high surrogate and text", "\"\\ud800abcdef\"", Fault::bad_escape},
      {"two high surrogates", "\"\\ud800\\ud800\"", Fault::bad_escape},
      {"high surrogate and another escape", "\"\\ud800\\n\"", Fault::bad_escape},
      {"lone continuation byte", "\"\x80\"", Fault::bad_utf8},
      {"overlong slash", "\"\xc0\xaf\"", Fault::bad_utf8},
      {"overlong NUL", "\"\xc0\x80\"", Fault::bad_utf8},
      {"overlong, three bytes", "\"\xe0\x80\xaf\"", Fault::bad_utf8},
      {"overlong, four bytes", "\"\xf0\x80\x80\xaf\"", Fault::bad_utf8},
      {"surrogate in UTF-8", "\"\xed\xa0\x80\"", Fault::bad_utf8},
      {"above U+10FFFF", "\"\xf4\x90\x80\x80\"", Fault::bad_utf8},
      {"byte ff", "\"\xff\"", Fault::bad_utf8},
      {"cut character", "\"\xe2\x82\"", Fault::bad_utf8},
      {"bad UTF-8 in a key", "{\"\xff\":1}", Fault::bad_utf8},
      {"65 arrays", nested(65, '[', ']'), Fault::too_deep},
      {"a million arrays", nested(1'000'000, '[', ']'), Fault::too_deep},
      {"a second value", "1 2", Fault::trailing},
      {"a second document", "{}{}", Fault::trailing},
      {"a bracket too many", "[]]", Fault::trailing},
      {"NUL behind", "{}\0"s, Fault::trailing},
      {"text behind", "{} x", Fault::trailing},
      {"hexadecimal", "0x10", Fault::trailing},
      {"digit groups", "1_000", Fault::trailing},
      {"same key twice", R"({"a":1,"a":1})", Fault::duplicate_key},
      {"same key through an escape", R"({"a":1,"\u0061":2})", Fault::duplicate_key},
      {"same key far apart", R"({"a":1,"b":2,"c":3,"d":{"a":1},"a":5})", Fault::duplicate_key},
      {"same empty key", R"({"":1,"":2})", Fault::duplicate_key},
      {"same key further inside", R"([{"x":{"k":1,"k":2}}])", Fault::duplicate_key},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    bool refused = false;
    try {
      json::parse(c.text);
    } catch (const json::SyntaxError& e) {
      refused = true;
      CHECK(e.fault() == c.fault);
      CHECK(e.code() == Errc::bad_input);
    }
    CHECK(refused);
    const bool stricter = c.fault == Fault::duplicate_key || c.fault == Fault::too_deep || c.name == "byte order mark" || c.name == "NUL behind";
    if (!stricter) CHECK_FALSE(nlohmann::json::accept(c.text));
  }
}

TEST_CASE("what is wrong is said with line and column") {
  try {
    json::parse("{\n  \"a\": 1,\n  \"b\": tru\n}", "config.json");
    FAIL("accepted");
  } catch (const json::SyntaxError& e) {
    CHECK(e.line() == 3);
    CHECK(e.column() == 8);
    CHECK(std::string(e.what()) == "config.json: line 3, column 8: expected true");
  }
}

TEST_CASE("every kind of value is read and written back") {
  const std::string text =
      R"({"z":null,"a":[true,false,[],{}],"n":[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615],)"
      R"("x":[0.5,-0.0,1e-05,1e+16,5e-324,1.7976931348623157e+308],"s":"é😀\"\\/\n\u0000\u001f"})";
  const json::Value value = json::parse(text);
  CHECK(value.dump() == text);  // keys in their order, numbers to the last bit
  CHECK(value.at("n").at(2).as_index() == std::numeric_limits<Index>::max());
  CHECK(value.at("n").at(4).as_uint64() == std::numeric_limits<std::uint64_t>::max());
  CHECK(std::signbit(value.at("x").at(1).as_double()));
  CHECK(json::parse(" \t\r\n1 \t\r\n").as_index() == 1);
  CHECK(json::parse(R"("\u00e9\u20AC\ud83d\uDE00\/\b\f\n\r\t")").as_string() == "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/\b\f\n\r\t");
  CHECK(json::parse(nested(64, '[', ']')).dump() == nested(64, '[', ']'));
}

TEST_CASE("numbers are integers only where they are written as integers of 64 bits") {
  CHECK(json::parse("1").is_integer());
  CHECK(json::parse("18446744073709551615").is_integer());
  for (const char* text : {"18446744073709551616", "-9223372036854775809", "1000000000000000019884624838656", "-0", "1.0", "1e0"}) {
    CAPTURE(text);
    const json::Value value = json::parse(text);
    CHECK_FALSE(value.is_integer());
    CHECK(value.as_double() == std::strtod(text, nullptr));
    CHECK_THROWS_AS(value.as_index(), Error);
    CHECK_THROWS_AS(value.as_uint64(), Error);
  }
  CHECK_THROWS_AS(json::parse("18446744073709551615").as_index(), Error);
  CHECK_THROWS_AS(json::parse("-1").as_uint64(), Error);
}

TEST_CASE("doubles are written shortest and as Python writes them") {
  // The right-hand side is repr(x) of Python 3.
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"}, {-0.0, "-0.0"}, {1.0, "1.0"}, {10000.0, "10000.0"}, {1e-05, "1e-05"}, {1e-06, "1e-06"}, {0.0001, "0.0001"}, {0.00012345, "0.00012345"},
      {1e-12, "1e-12"}, {0.02, "0.02"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {500000.0, "500000.0"}, {1000000.0, "1000000.0"},
      {123456789.125, "123456789.125"}, {1e15, "1000000000000000.0"}, {9999999999999998.0, "9999999999999998.0"}, {1e16, "1e+16"}, {1.5e16, "1.5e+16"},
      {1e22, "1e+22"}, {1e100, "1e+100"}, {1.2345e-100, "1.2345e-100"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}, {-2.5, "-2.5"}};
  for (const auto& [x, text] : cases) CHECK(json::Value(x).dump() == text);
  CHECK_THROWS_AS(json::Value(std::numeric_limits<double>::quiet_NaN()).dump(), Error);
  CHECK_THROWS_AS(json::Value(std::numeric_limits<double>::infinity()).dump(), Error);
}

TEST_CASE("the pretty form is that of Python's json.dumps(indent=2)") {
  const json::Value value = json::parse(R"({"a":[1,{"b":[]},{}],"c":{},"d":"x","e":[[1],[]]})");
  CHECK(value.dump(2) == R"({
  "a": [
    1,
    {
      "b": []
    },
    {}
  ],
  "c": {},
  "d": "x",
  "e": [
    [
      1
    ],
    []
  ]
})");
  CHECK(json::parse(value.dump(2)) == value);
}

TEST_CASE("a configuration is pleasant to read, and errors name the key") {
  const json::Value config = json::parse(
      R"({"hidden_size":64,"rope_theta":10000,"rms_norm_eps":1e-6,"tie_word_embeddings":true,"model_type":"llama","head_dim":null})");
  CHECK(config.index("hidden_size") == 64);
  CHECK(config.index("head_dim", 16) == 16);
  CHECK(config.index("missing", 8) == 8);
  CHECK(config.number("rope_theta") == 10000.0);
  CHECK(config.number("rms_norm_eps") == 1e-6);
  CHECK(config.number("missing", 0.5) == 0.5);
  CHECK(config.flag("tie_word_embeddings"));
  CHECK(config.flag("missing", true));
  CHECK(config.text("model_type") == "llama");
  CHECK(config.text("missing", "silu") == "silu");
  CHECK_FALSE(config.given("head_dim"));
  CHECK(config.contains("head_dim"));
  CHECK(json::Value(1).find("x") == nullptr);

  const auto message = [](auto&& read) {
    try {
      read();
    } catch (const Error& e) {
      CHECK(e.code() == Errc::bad_input);
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(message([&] { (void)config.index("vocab_size"); }) == "'vocab_size' is missing");
  CHECK(message([&] { (void)config.index("model_type"); }) == "'model_type' is a string, expected an integer within 63 bits");
  CHECK(message([&] { (void)config.index("rms_norm_eps"); }) == "'rms_norm_eps' is a number, expected an integer within 63 bits");
  CHECK(message([&] { (void)config.number("model_type", 1.0); }) == "'model_type' is a string, expected a number");
  CHECK(message([&] { (void)config.flag("hidden_size"); }) == "'hidden_size' is an integer, expected true or false");
  CHECK(message([&] { (void)config.text("head_dim"); }) == "'head_dim' is null, expected a string");
  CHECK(message([&] { (void)config.elements("layers"); }) == "'layers' is an object, expected an array");
  CHECK(message([&] { (void)config.at("a\x1b[2J\n"); }) == "'a\\x1b[2J\\x0a' is missing");
}

TEST_CASE("values are built, changed in place and compared") {
  json::Value value;
  value.set("b", 1);
  value.set("a", json::Value::object({{"x", 0.5}, {"y", "text"}, {"z", nullptr}}));
  value.set("list", std::vector<int>{1, 2});
  value.find("list")->push_back(true);
  value.set("b", 2u);
  CHECK(value.dump() == R"({"b":2,"a":{"x":0.5,"y":"text","z":null},"list":[1,2,true]})");
  value.erase("a");
  CHECK(value.dump() == R"({"b":2,"list":[1,2,true]})");
  CHECK(value == json::parse(R"({"b":2,"list":[1,2,true]})"));
  CHECK_FALSE(value == json::parse(R"({"b":2,"list":[1,2,false]})"));
  CHECK(value.size() == 2);
  CHECK_THROWS_AS(json::Value(1).set("a", 1), Error);
  CHECK_THROWS_AS(value.push_back(1), Error);
}

TEST_CASE("the cursor passes over values it is not asked about") {
  json::Cursor in(R"( {"skip":[1,{"a":[[],{}]},"x",null,true,1.5],"keep":7,"also":{}} )");
  std::string key;
  in.enter_object();
  REQUIRE(in.next_member(key));
  in.skip();
  REQUIRE(in.next_member(key));
  CHECK(key == "keep");
  CHECK(std::get<std::int64_t>(in.read_number()) == 7);
  REQUIRE(in.next_member(key));
  in.skip();
  CHECK_FALSE(in.next_member(key));
  in.finish();
  json::Cursor broken("[[1,{\"a\":]]");
  CHECK_THROWS_AS(broken.skip(), json::SyntaxError);
}

TEST_CASE("random values survive writing and reading, here and in nlohmann::json") {
  Random random{1};
  for (int i = 0; i < 5000; ++i) {
    const json::Value value = random_value(random, 4);
    const std::string text = value.dump(i % 2 == 0 ? -1 : 2);
    CAPTURE(text);
    REQUIRE(json::parse(text) == value);
    REQUIRE(same(value, nlohmann::json::parse(text)));
  }
}

TEST_CASE("of damaged texts, whatever is accepted here nlohmann::json accepts, with equal values") {
  Random random{2};
  const std::string alphabet = "{}[]\",:0123456789.-+eE\\u/truefalsn \n\x01\x80\xc3\xa9\xff";
  int accepted = 0, refused = 0;
  for (int i = 0; i < 40000; ++i) {
    std::string text = random_value(random, 3).dump();
    for (auto n = random.below(4); n > 0 && !text.empty(); --n) {
      const auto at = random.below(text.size());
      switch (random.below(3)) {
        case 0: text[at] = alphabet[random.below(alphabet.size())]; break;
        case 1: text.erase(at, 1); break;
        default: text.insert(at, 1, alphabet[random.below(alphabet.size())]);
      }
    }
    CAPTURE(text);
    json::Value value;
    try {
      value = json::parse(text);
    } catch (const json::SyntaxError& e) {
      ++refused;
      const auto fault = e.fault();
      if (fault == Fault::duplicate_key || fault == Fault::too_deep || fault == Fault::out_of_range) continue;
      REQUIRE_FALSE((nlohmann::json::accept(text) && !text.starts_with("\xef\xbb\xbf")));
      continue;
    }
    ++accepted;
    REQUIRE(nlohmann::json::accept(text));
    REQUIRE(same(value, nlohmann::json::parse(text)));
  }
  CHECK(accepted > 10000);
  CHECK(refused > 10000);
}

TEST_CASE("a text cut anywhere is refused") {
  Random random{3};
  const std::string text = json::Value::object({{"a", random_value(random, 4)}, {"b", random_value(random, 4)}, {"c", std::vector<double>{1.5, -2e-7}}}).dump(2);
  for (std::size_t n = 0; n < text.size(); ++n) CHECK_THROWS_AS(json::parse(std::string_view(text).substr(0, n)), json::SyntaxError);
  CHECK_NOTHROW(json::parse(text));
}

TEST_CASE("an object of 200 000 keys is read in time, and its one duplicate is found") {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i * 7919 % 200'000) + "\":0,";
  CHECK(json::parse(text + "\"last\":1}").size() == 200'001);
  CHECK_THROWS_AS(json::parse(text + "\"k77777\":1}"), json::SyntaxError);
}

TEST_CASE("a file written and read again is the same value, with a new line at its end") {
  const test::TemporaryDirectory folder;
  const json::Value value = json::parse(R"({"unknown":{"kept":[1,2.5]},"model_type":"llama"})");
  json::write_file(folder / "config.json", value);
  CHECK(json::read_file(folder / "config.json") == value);
  CHECK(test::slurp(folder / "config.json") == value.dump(2) + "\n");
  CHECK_THROWS_AS(json::read_file(folder / "missing.json"), Error);
}
