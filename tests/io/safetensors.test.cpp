// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <doctest/doctest.h>
#include <espalier/io/safetensors.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>
#include <string>
#include <sys/stat.h>

#include "support/foreign_json.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"

using namespace espalier;
using namespace espalier::test;
using namespace std::string_literals;
using enum SafetensorsError;

// The largest single allocation since it was set to zero.
namespace {
std::size_t largest_allocation = 0;
}
void* operator new(std::size_t n) {
  largest_allocation = std::max(largest_allocation, n);
  if (void* p = std::malloc(n == 0 ? 1 : n)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {
const std::string data = test::safetensors_golden("");
}

TEST_CASE("each kind of malformed file has its own error") {
  struct Case {
    std::string_view name;
    std::string bytes;
    SafetensorsError reason;
  };
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::string deep(100, '['), ten_in_one_place = [] {
    std::string text = "{";
    for (int i = 0; i < 10; ++i) {
      text += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})";
    }
    return text + "}";
  }();
  const Case cases[] = {
      {"empty file", "", header_too_small},
      {"7 bytes", std::string(7, '\0'), header_too_small},
      {"N = 0", file(""), not_json},
      {"N = 2^64 - 1", file("{}", "", ~std::uint64_t{0}), header_too_large},
      {"N = 2^63", file("{}", "", std::uint64_t{1} << 63), header_too_large},
      {"N = 0xffffff000000003c", file("{}", "", 0xffffff000000003c), header_too_large},
      {"N = 100 000 001", file("{}", "", 100'000'001), header_too_large},
      {"N = 100 000 000 in a small file", file("{}", "", 100'000'000), invalid_header_length},
      {"N one past the end", file("{}", "", 3), invalid_header_length},
      {"N one too small", file("{}", "", 1), not_json},
      {"header is {", file("{"), not_json},
      {"header is ff", file("\xff"), invalid_header},
      {"header of spaces", file("   "), not_json},
      {"truncated JSON", file("{\"a\":" + entry.substr(0, 30)), not_json},
      {"a list", file("[]"), not_json},
      {"null", file("null"), not_json},
      {"a number", file("1"), not_json},
      {"a text", file("\"{}\""), not_json},
      {"two documents", file("{}{}"), not_json},
      {"text behind the object", file("{} x"), not_json},
      {"NUL behind the object", file("{}\0"s), not_json},
      {"comment", file("{}//x"), not_json},
      {"byte order mark", file("\xef\xbb\xbf{}"), not_json},
      {"single quotes", file("{'a':1}"), not_json},
      {"trailing comma", file("{\"a\":" + entry + ",}", "0000"), not_json},
      {"UTF-16", file("{\0}\0"s), not_json},
      {"bad UTF-8 in a name", file("{\"\xff\":" + entry + "}", "0000"), invalid_header},
      {"overlong UTF-8", file("{\"\xc0\xae\":" + entry + "}", "0000"), invalid_header},
      {"surrogate in UTF-8", file("{\"\xed\xa0\x80\":" + entry + "}", "0000"), invalid_header},
      {"bad UTF-8 outside a text", file("{}\x80"), invalid_header},
      {"lone surrogate escape", file("{\"\\ud800\":" + entry + "}", "0000"), not_json},
      {"raw NUL in a name", file("{\"a\0b\":"s + entry + "}", "0000"), not_json},
      {"escaped NUL in a name", file("{\"a\\u0000b\":" + entry + "}", "0000"), bad_name},
      {"terminal escape in a name", file("{\"\\u001b[2J\":" + entry + "}", "0000"), bad_name},
      {"name of 1025 bytes", file("{\"" + std::string(1025, 'x') + "\":" + entry + "}", "0000"), bad_name},
      {"same name twice", two("[0,4]", "[4,8]", 8, "a", "a"), duplicate_name},
      {"same name, same place", two("[0,4]", "[0,4]", 4, "a", "a"), duplicate_name},
      {"same name through an escape", two("[0,4]", "[4,8]", 8, "a", "\\u0061"), duplicate_name},
      {"same name of nothing", file(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"), duplicate_name},
      {"entry is null", with_entry("null"), bad_entry},
      {"entry is a list", with_entry("[\"F32\",[1],[0,4]]"), bad_entry},
      {"entry is a text", with_entry("\"F32\""), bad_entry},
      {"entry is empty", with_entry("{}"), missing_field},
      {"no dtype", with_entry(R"({"shape":[1],"data_offsets":[0,4]})"), missing_field},
      {"no shape", with_entry(R"({"dtype":"F32","data_offsets":[0,4]})"), missing_field},
      {"no offsets", with_entry(R"({"dtype":"F32","shape":[1]})"), missing_field},
      {"dtype twice", with_entry(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), duplicate_field},
      {"shape twice", with_entry(R"({"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})"), duplicate_field},
      {"offsets twice", with_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]})"), duplicate_field},
      {"field twice through an escape", with_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"d\u0074ype":"F32"})"), duplicate_field},
      {"unknown field", with_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]})"), unknown_field},
      {"deep nesting in an unknown field", with_entry(R"({"dtype":"F32","x":)" + deep), unknown_field},
      {"deep nesting in a shape", with_shape(deep), bad_shape},
      {"a million levels", file(std::string(1'000'000, '[')), not_json},
      {"unknown dtype", with_shape("[1]", "F33"), unknown_dtype},
      {"dtype in small letters", with_shape("[1]", "f32"), unknown_dtype},
      {"dtype of nothing", with_shape("[1]", ""), unknown_dtype},
      {"dtype is null", with_entry(R"({"dtype":null,"shape":[1],"data_offsets":[0,4]})"), unknown_dtype},
      {"dtype is a table", with_entry(R"({"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]})"), unknown_dtype},
      {"shape is a number", with_shape("1"), bad_shape},
      {"shape is null", with_shape("null"), bad_shape},
      {"extent is negative", with_shape("[-1]"), bad_shape},
      {"extent is -0", with_shape("[-0]"), bad_shape},
      {"extent is 1.0", with_shape("[1.0]"), bad_shape},
      {"extent is 1e0", with_shape("[1e0]"), bad_shape},
      {"extent has a leading zero", with_shape("[01]"), not_json},
      {"extent is a text", with_shape("[\"1\"]"), bad_shape},
      {"extent is true", with_shape("[true]"), bad_shape},
      {"extent is 2^64", with_shape("[18446744073709551616]"), bad_shape},
      {"extent of 400 digits", with_shape("[" + std::string(400, '9') + "]"), not_json},
      {"rank 9", with_shape("[1,1,1,1,1,1,1,1,1]"), too_many_dimensions},
      {"rank 100", with_shape("[1" + [] { std::string s; for (int i = 0; i < 99; ++i) s += ",1"; return s; }() + "]"), too_many_dimensions},
      {"shape [2, 2^64 - 2]", with_shape("[2,18446744073709551614]"), validation_overflow},
      {"shape [2, 2^63 - 1] of I32", with_shape("[2,9223372036854775807]", "I32"), validation_overflow},
      {"shape product overflows", with_shape("[4294967296,4294967296]"), validation_overflow},
      {"shape product overflows before a zero", with_shape("[4294967296,4294967296,0]"), validation_overflow},
      {"63 bits of elements overflow before a zero", with_shape("[4611686018427387904,3,0]", "F32", "[0,0]", 0), validation_overflow},
      {"size in bits overflows", with_shape("[576460752303423489]"), validation_overflow},
      {"one float too many", with_shape("[2]"), size_mismatch},
      {"a zero extent with bytes", with_shape("[0]"), size_mismatch},
      {"wrong dtype for the size", with_shape("[1]", "F64"), size_mismatch},
      {"polyglot: bytes hidden behind a small shape", with_shape("[1]", "F32", "[0,400]", 400), size_mismatch},
      {"F4 of 3", with_shape("[3]", "F4", "[0,2]", 2), misaligned},
      {"F6 of 2", with_shape("[2]", "F6_E2M3", "[0,2]", 2), misaligned},
      {"no offsets in the list", with_shape("[1]", "F32", "[]"), bad_offsets},
      {"one offset", with_shape("[1]", "F32", "[0]"), bad_offsets},
      {"three offsets", with_shape("[1]", "F32", "[0,4,4]"), bad_offsets},
      {"negative offset", with_shape("[1]", "F32", "[-4,0]"), bad_offsets},
      {"fractional offset", with_shape("[1]", "F32", "[0,4.0]"), bad_offsets},
      {"offset of 2^64", with_shape("[1]", "F32", "[0,18446744073709551616]"), bad_offsets},
      {"offsets are a table", with_shape("[1]", "F32", "{}"), bad_offsets},
      {"end before begin", with_shape("[1]", "F32", "[4,0]"), invalid_offset},
      {"second ends before it begins", two("[0,4]", "[4,0]", 4), invalid_offset},
      {"hole at the start", with_shape("[1]", "F32", "[4,8]", 8), invalid_offset},
      {"hole", two("[0,4]", "[5,9]", 9), invalid_offset},
      {"overlap", two("[0,4]", "[2,6]", 6), invalid_offset},
      {"one inside the other", two("[0,4]", "[0,4]", 4), invalid_offset},
      {"ten tensors in one place", file(ten_in_one_place, std::string(16, '\0')), invalid_offset},
      {"nothing, beyond the end", file("{\"a\":" + entry + R"(,"b":{"dtype":"U8","shape":[0],"data_offsets":[5,5]}})", "0000"), invalid_offset},
      {"sum of sizes beyond 64 bits", file(R"({"a":{"dtype":"U8","shape":[2305843009213693951],"data_offsets":[0,2305843009213693951]},"b":{"dtype":"U8","shape":[2],"data_offsets":[18446744073709551615,1]}})"), invalid_offset},
      {"exabytes in a small file", with_shape("[2305843009213693951]", "U8", "[0,2305843009213693951]"), incomplete_buffer},
      {"one byte short", with_entry(entry, 3), incomplete_buffer},
      {"no body", with_entry(entry, 0), incomplete_buffer},
      {"one byte more", with_entry(entry, 5), incomplete_buffer},
      {"zip archive behind the tensors", with_entry(entry) + "PK\x05\x06", incomplete_buffer},
      {"bytes and no tensor", file("{}", "x"), incomplete_buffer},
      {"metadata is a list", file(R"({"__metadata__":[]})"), bad_metadata},
      {"metadata is a text", file(R"({"__metadata__":"pt"})"), bad_metadata},
      {"metadata of a number", file(R"({"__metadata__":{"a":1}})"), bad_metadata},
      {"metadata of null", file(R"({"__metadata__":{"a":null}})"), bad_metadata},
      {"metadata of a table", file(R"({"__metadata__":{"a":{}}})"), bad_metadata},
      {"metadata is a tensor", file("{\"__metadata__\":" + entry + "}", "0000"), bad_metadata},
      {"metadata twice", file(R"({"__metadata__":{},"__metadata__":{}})"), duplicate_metadata},
      {"metadata twice, once null", file(R"({"__metadata__":null,"__metadata__":{}})"), duplicate_metadata},
      {"metadata key twice", file(R"({"__metadata__":{"a":"1","b":"2","a":"1"}})"), duplicate_metadata},
  };
  CHECK(std::size(cases) >= 100);
  std::set<SafetensorsError> seen;
  for (const Case& c : cases) {
    CAPTURE(c.name);
    bool refused = false;
    try {
      parse_safetensors(bytes_of(c.bytes));
    } catch (const MalformedSafetensors& e) {
      refused = true;
      CHECK(e.code() == Errc::bad_input);
      CHECK_MESSAGE(e.reason() == c.reason, std::string(e.what()));
      CHECK(std::all_of(e.what(), e.what() + std::strlen(e.what()), [](char x) { return x >= 0x20 && x < 0x7f; }));
      seen.insert(e.reason());
    }
    CHECK(refused);
  }
  CHECK(seen.size() == static_cast<std::size_t>(too_many_dimensions) + 1);  // every error has a case
}

TEST_CASE("what looks odd and is allowed is accepted") {
  CHECK(accepted(file("{}")));
  CHECK(accepted(file(" \n\t\r{} \n\t\r")));  // the reference accepts white space on both sides
  CHECK(accepted(file(R"({"__metadata__":{}})")));
  CHECK(accepted(file(R"({"__metadata__":null})")));
  CHECK(accepted(with_shape("[]")));
  CHECK(accepted(with_shape("[1,1,1,1,1,1,1,1]")));
  CHECK(accepted(with_shape("[0,9223372036854775807]", "F32", "[0,0]", 0)));
  CHECK(accepted(with_shape("[8]", "F4", "[0,4]", 4)));
  CHECK(accepted(with_shape("[4]", "F6_E3M2", "[0,3]", 3)));
  CHECK(accepted(two("[4,8]", "[0,4]", 8)));                                     // any order of entries
  CHECK(accepted(two("[0,4]", "[4,8]", 8, "a", "A")));
  CHECK(accepted(two("[0,4]", "[4,8]", 8, "", "__metadata")));
  CHECK(accepted(two("[0,4]", "[4,8]", 8, std::string(1024, 'x'), "../../x")));  // a name is not a path
}

TEST_CASE("whatever the reference implementation refuses is refused, and the ten errors it has agree") {
  // Accepted there, refused here; see SafetensorsError.
  const std::set<std::string> stricter = {
      "header '{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}'", "name '\\\\u0000'", "name '\\\\n'", "dtype !{\"F32\":null} [8] 32",
      "shape [1,1,1,1,1,1,1,1,1]", "shape [0,18446744073709551615] of nothing", "as a list", "extra ,\"x\":1", "extra ,\"x\":{\"y\":[null,1e5]}",
      "same name, same place", "same name through an escape"};
  const std::pair<const char*, SafetensorsError> messages[] = {
      {"header too small", header_too_small}, {"header too large", header_too_large}, {"invalid header length", invalid_header_length},
      {"invalid UTF-8", invalid_header}, {"invalid offset", invalid_offset}, {"overflow", validation_overflow},
      {"The slice is slicing for subbytes", misaligned}, {"invalid shape, data type", size_mismatch}, {"incomplete metadata", incomplete_buffer}};
  std::ifstream lines(data + "corpus.jsonl");
  int count = 0, both = 0, matched = 0;
  std::set<std::string> used;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto item = test::foreign_json(line);
    const std::string name = item["name"], hex = item["hex"];
    CAPTURE(name);
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    try {
      parse_safetensors(bytes_of(bytes));
      CHECK_MESSAGE(item["error"].is_null(), "accepted here, but the reference says: ", item["error"].get<std::string>());
      CHECK(consistent(bytes));
      ++both;
    } catch (const MalformedSafetensors& e) {
      if (item["error"].is_null()) {
        CHECK_MESSAGE(stricter.contains(name), "the reference accepts it, here: ", std::string(e.what()));
        used.insert(name);
        continue;
      }
      const std::string theirs = item["error"];
      for (const auto& [begin, reason] : messages) {
        if (!theirs.starts_with(begin)) continue;
        if (e.reason() >= unknown_field || name == "shape [0,18446744073709551615]") continue;  // found something else first
        CHECK_MESSAGE(e.reason() == reason, theirs, " / ", std::string(e.what()));
        ++matched;
      }
    }
  }
  CHECK(count >= 400);
  CHECK(both >= 40);
  CHECK(matched >= 100);
  for (const std::string& name : stricter) CHECK_MESSAGE(used.contains(name), "not needed: ", name);
}

TEST_CASE("every dtype is passed through, and numbers are converted as PyTorch converts them") {
  const SafetensorsFile dtypes(data + "dtypes.safetensors");
  CHECK(dtypes.tensors().size() == 16);
  CHECK(dtypes.metadata() == Metadata{{"format", "pt"}});
  for (const char* name : {"f16", "bf16", "f32", "f64"}) {
    CAPTURE(name);
    std::vector<double> numbers(7);
    dtypes.read_numbers(name, std::span(numbers));
    for (int i = 0; i < 7; ++i) CHECK(numbers[static_cast<std::size_t>(i)] == 0.25 * i - 1);
  }
  std::vector<double> three(3);
  CHECK_THROWS_AS(dtypes.read_numbers("i16", std::span(three)), Error);

  const SafetensorsFile file(data + "conversions.safetensors");
  const auto raw = [&](const char* name) {
    std::vector<std::byte> bytes(file.info(name).bytes);
    file.read(name, bytes);
    return bytes;
  };
  std::vector<float> spread(static_cast<std::size_t>(file.info("f32").elements()));
  file.read_numbers("f32", std::span(spread));
  std::vector<std::byte> narrow(2 * spread.size());
  encode(std::span<const float>(spread), Dtype::f16, std::span(narrow));
  CHECK(narrow == raw("f32.as.f16"));
  encode(std::span<const float>(spread), Dtype::bf16, std::span(narrow));
  CHECK(narrow == raw("f32.as.bf16"));

  const auto wide = [&]<class T>(const char* from, const char* to, T) {
    std::vector<T> numbers(static_cast<std::size_t>(file.info(from).elements()));
    file.read_numbers(from, std::span(numbers));
    const auto expected = raw(to);
    REQUIRE(expected.size() == numbers.size() * sizeof(T));
    CHECK(std::memcmp(numbers.data(), expected.data(), expected.size()) == 0);
  };
  wide("f16", "f16.as.f32", float{});
  wide("bf16", "bf16.as.f64", double{});

  std::vector<BFloat16> same(static_cast<std::size_t>(file.info("bf16").elements()));
  file.read_numbers("bf16", std::span(same));
  CHECK(std::memcmp(same.data(), raw("bf16").data(), 2 * same.size()) == 0);
}

TEST_CASE("a large tensor is converted in pieces, with the numbers in their places") {
  const test::TemporaryDirectory folder;
  const std::size_t n = 100'003;
  std::vector<double> numbers(n);
  for (std::size_t i = 0; i < n; ++i) numbers[i] = static_cast<double>(i);
  write_safetensors(folder / "x", {{"w", Dtype::f32, {static_cast<Index>(n)}}}, {},
                    [&](const TensorInfo& tensor, auto& sink) { sink.write_numbers(std::span<const double>(numbers), tensor.dtype); });
  std::vector<double> again(n);
  const SafetensorsFile file(folder / "x");
  largest_allocation = 0;
  file.read_numbers("w", std::span(again));
  CHECK(largest_allocation <= 65536);
  CHECK(again == numbers);
  std::byte part[8];
  file.read_part(file.info("w"), 4 * 50'000, part);
  float two_numbers[2];
  std::memcpy(two_numbers, part, 8);
  CHECK(two_numbers[0] == 50'000);
  CHECK(two_numbers[1] == 50'001);
}

TEST_CASE("a file cut at any byte is refused") {
  for (const std::string name : test::safetensors_names) {
    const std::string whole = test::slurp(data + name + ".safetensors");
    REQUIRE(accepted(whole));
    for (std::size_t n = 0; n < whole.size(); n += n < 2000 ? 1 : 101) {
      if (accepted(std::string_view(whole).substr(0, n))) FAIL(name, " cut to ", n, " bytes was accepted");
    }
  }
}

TEST_CASE("no flipped bit of a header makes an inconsistent file pass") {
  int refused = 0, passed = 0;
  for (const std::string name : {"metadata_only", "one_f32", "scalar_and_empty", "names", "dtypes"}) {
    const std::string whole = test::slurp(data + name + ".safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, whole.data(), 8);
    for (std::size_t bit = 0; bit < 8 * (8 + length); ++bit) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
      ++(accepted(damaged) ? passed : refused);  // a letter of a name may change, nothing else
    }
  }
  CHECK(refused > 10'000);
  CHECK(passed > 1000);
}

TEST_CASE("no edge value in any field makes an inconsistent file pass") {
  const std::string values[] = {"0", "1", "-1", "-0", "2", "3", "255", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
                                "18446744073709551616", "1e1", "1.5", "null", "true", "\"\"", "[]", "{}", "[0]", "\"F32\"", "\"I64\"", "", "[[]]", "[1,1]"};
  const std::string parts[] = {"\"F32\"", "[2,3]", "2", "3", "[0,24]", "0", "24"};
  const std::string header = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}})";
  REQUIRE(accepted(file(header, std::string(28, 'x'))));
  for (const std::string& part : parts) {
    for (auto at = header.find(part); at != std::string::npos; at = header.find(part, at + 1)) {
      for (const std::string& value : values) {
        std::string damaged = header;
        damaged.replace(at, part.size(), value);
        for (const std::size_t body : {0u, 24u, 28u}) accepted(file(damaged, std::string(body, 'x')));
      }
    }
  }
}

TEST_CASE("nothing larger than the file is allocated before it is found good") {
  const auto peak = [](const std::string& bytes) {
    largest_allocation = 0;
    try {
      parse_safetensors(bytes_of(bytes));
    } catch (const MalformedSafetensors&) {
    }
    return largest_allocation;
  };
  CHECK(peak(file("{}", "", 100'000'000)) < 4096);
  CHECK(peak(with_shape("[2305843009213693951]", "U8", "[0,2305843009213693951]")) < 4096);
  CHECK(peak(with_shape("[4611686018427387904]", "F64", "[0,4]")) < 4096);
  std::string many = "{", table = R"({"__metadata__":{)", shape = R"({"a":{"dtype":"U8","shape":[0)";
  for (int i = 0; i < 50'000; ++i) {
    many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    table += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":"")";
    shape += ",0";
  }
  for (const std::string& header : {many + "}", table + "}}", shape + "]}}", "{\"" + std::string(1'000'000, 'x') + "\":", R"({"__metadata__":{"a":")" + std::string(1'000'000, 'x') + "\"}}",
                                    std::string(1'000'000, '['), R"({"\u0061)" + std::string(1'000'000, '\\')}) {
    const std::string whole = file(header);
    CHECK(peak(whole) <= whole.size() + 65536);
  }
}

TEST_CASE("a hundred thousand tensors of nothing and a metadata text of ten megabytes are read") {
  std::string many = "{";
  for (int i = 0; i < 100'000; ++i) {
    many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  const std::string whole = file(many + "}");
  const SafetensorsHeader header = parse_safetensors(bytes_of(whole));
  CHECK(header.tensors.size() == 100'000);
  CHECK(header.find("77777") != nullptr);
  CHECK(header.find("100000") == nullptr);
  const std::string text(10'000'000, 'x');
  CHECK(parse_safetensors(bytes_of(file(R"({"__metadata__":{"a":")" + text + "\"}}"))).metadata.front().second == text);
}

TEST_CASE("opening what is no regular file is refused at once") {
  const test::TemporaryDirectory folder;
  REQUIRE(::mkfifo((folder / "fifo.safetensors").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "directory.safetensors");
  std::filesystem::create_symlink("/dev/zero", folder / "zero.safetensors");
  for (const char* name : {"fifo", "directory", "zero", "missing"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(SafetensorsFile(folder / (name + ".safetensors"s)), Error);
  }
}

TEST_CASE("reading by name or into the wrong room says what is wrong") {
  const SafetensorsFile file(data + "one_f32.safetensors");
  CHECK(file.contains("attn.0"));
  CHECK_FALSE(file.contains("attn.1"));
  std::vector<std::byte> room(23);
  CHECK_THROWS_AS(file.read("attn.0", room), Error);
  std::vector<float> five(5);
  CHECK_THROWS_AS(file.read_numbers("attn.0", std::span(five)), Error);
  CHECK_THROWS_AS(file.read_part(file.info("attn.0"), 2, room), Error);
  CHECK_THROWS_WITH(file.info("x\x1b"), (file.path() + ": there is no tensor 'x\\x1b'").c_str());
}

