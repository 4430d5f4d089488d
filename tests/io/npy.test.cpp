// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <espalier/data/tokens.hpp>
#include <espalier/io/npy.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;

namespace {

/// A .npy file by hand, as numpy.lib.format describes it.
std::string npy(std::string dictionary, std::string data, int version = 1, std::size_t total = 128) {
  const std::size_t start = version == 1 ? 10 : 12;
  dictionary.resize(total - start - 1, ' ');
  dictionary += '\n';
  std::string x = "\x93NUMPY";
  x += char(version), x += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) x += char(dictionary.size() >> (8 * i) & 255);
  return x + dictionary + data;
}
template <class T>
std::string raw(std::initializer_list<T> numbers) {
  std::string x(numbers.size() * sizeof(T), '\0');
  std::memcpy(x.data(), numbers.begin(), x.size());
  return x;
}
std::string refusal(const std::string& path) {
  try {
    read_npy<int>(path);
  } catch (const Error& error) {
    CHECK((error.code() == Errc::bad_input || error.code() == Errc::unsupported));
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Token ids of every integer type are read") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "ids.npy", rest = ", 'fortran_order': False, 'shape': (3,), }";
  const auto check = [&](const std::string& descr, const std::string& data) {
    io::write_file_atomically(path, npy("{'descr': '" + descr + "'" + rest, data));
    const NpyTokens tokens = read_npy_tokens(path);
    CHECK(tokens.ids == std::vector<int>{1, 2, 255});
    CHECK(tokens.columns == 0);
  };
  check("<u2", raw<std::uint16_t>({1, 2, 255}));
  check("<i4", raw<std::int32_t>({1, 2, 255}));
  check("<u4", raw<std::uint32_t>({1, 2, 255}));
  check("<i8", raw<std::int64_t>({1, 2, 255}));
  check("|u1", raw<std::uint8_t>({1, 2, 255}));
}

TEST_CASE("Rows of ids become documents, and the batches know it") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "ids.npy";
  io::write_file_atomically(
      path, npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", raw<std::int32_t>({1, 2, 3, 4, 5, 6})));
  const TokenFile file(read_npy_tokens(path));
  CHECK(file.tokens().documents() == 2);
  auto batches = file.batches({.size = 2, .length = 2, .shuffle = false});
  batches.prepare(0);
  CHECK(std::vector<int>(batches[0].tokens.begin(), batches[0].tokens.end()) == std::vector<int>{1, 2, 4, 5});
  CHECK(std::vector<int>(batches[0].targets.begin(), batches[0].targets.end()) == std::vector<int>{2, 3, 5, 6});
}

TEST_CASE("Other spellings of the header are read: key order, quotes, version 2, long headers") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.npy", data = raw<float>({1.5f, -2});
  for (const int version : {1, 2, 3})
    for (const std::size_t total : {128u, 256u, 448u}) {
      io::write_file_atomically(path,
                                npy("{\"shape\": (2,), 'fortran_order': True, 'descr': '<f4'}", data, version, total));
      const auto x = read_npy<double>(path);
      REQUIRE(x.size() == 2);
      CHECK((x(0) == 1.5 && x(1) == -2));
    }
}

TEST_CASE("What is written is read again, and xtensor's own reader agrees") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.npy";
  double numbers[6] = {0, 1, 2, 3, 4, 0.1};
  write_npy(path, matrix(numbers, 2, 3));
  const auto ours = read_npy<double>(path);
  const auto theirs = xt::load_npy<double>(path);
  REQUIRE(ours.dimension() == 2);
  REQUIRE(theirs.shape()[1] == 3);
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      CHECK(ours(i, j) == numbers[i * 3 + j]);
      CHECK(theirs(i, j) == numbers[i * 3 + j]);
    }
  const auto narrow = read_npy<float>(path);
  CHECK(narrow(1, 2) == 0.1f);
  CHECK_THROWS_AS(write_npy(path, matrix(numbers, 2, 3).t()), Error);
  CHECK(refusal(path).find("fraction") != std::string::npos);
}

TEST_CASE("Files that lie are refused before memory is taken for them") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.npy", four = raw<std::int32_t>({1});
  const auto refused = [&](const std::string& content, const char* why) {
    io::write_file_atomically(path, content);
    const std::string message = refusal(path);
    CHECK_MESSAGE(message.find(why) != std::string::npos, message);
    CHECK(message.find(path) != std::string::npos);
  };
  const auto dictionary = [&](const std::string& text) { return npy(text, four); };
  refused("", "too short");
  refused("PK\x03\x04 this is a zip file", "NUMPY");
  refused(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", four, 4), "version 4");
  refused(std::string("\x93NUMPY\x01\x00\xff\xff{}", 12), "cut off");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999,)}"), "need 399999999996 bytes");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"), "64 bits");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}"), "numbers");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (2,)}"), "there are 4");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}"), "twice");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'x': (1,)}"), "unknown");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False}"), "header");
  refused(dictionary("{'descr': '<i4', 'fortran_order': 0, 'shape': (1,)}"), "True nor False");
  refused(dictionary("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)} import os"), "header");
  refused(dictionary("{'descr': '>i4', 'fortran_order': False, 'shape': (1,)}"), "astype");
  refused(dictionary("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "astype");
  refused(npy("{'descr': '<i4', 'fortran_order': True, 'shape': (1, 1)}", four), "ascontiguousarray");
  refused(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", raw<std::int64_t>({1ll << 40})),
          "does not fit");
}
