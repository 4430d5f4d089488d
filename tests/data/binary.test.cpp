// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <espalier/data/binary.hpp>
#include <string>
#include <vector>

#include "support/temporary_directory.hpp"

using namespace espalier;

namespace {
template <class T>
std::string raw(const std::vector<T>& x) {
  std::string bytes(x.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), x.data(), bytes.size());
  return bytes;
}
std::string header(std::int32_t magic, std::int32_t version, std::int32_t count) {
  std::vector<std::int32_t> h(256);
  h[0] = magic, h[1] = version, h[2] = count;
  return raw(h);
}
}  // namespace

TEST_CASE("The three kinds of .bin are told apart by their headers") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.bin";
  test::spill(path, raw<std::uint16_t>({1, 65535, 3}));
  CHECK(read_binary_tokens(path).ids == std::vector<int>{1, 65535, 3});
  test::spill(path, header(20240520, 1, 3) + raw<std::uint16_t>({1, 65535, 3}));
  CHECK(read_binary_tokens(path).ids == std::vector<int>{1, 65535, 3});
  test::spill(path, header(20240801, 7, 3) + raw<std::uint32_t>({1, 128000, 3}));
  CHECK(read_binary_tokens(path).ids == std::vector<int>{1, 128000, 3});
  CHECK(read_binary_tokens(path).source == path);
}

TEST_CASE("A long file is read to its end, piece by piece") {
  const test::TemporaryDirectory folder;
  std::vector<std::uint16_t> ids(1'200'001);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = std::uint16_t(i * 31);
  test::spill(folder / "x.bin", raw(ids));
  const Tokens tokens = read_binary_tokens(folder / "x.bin");
  REQUIRE(tokens.ids.size() == ids.size());
  CHECK(std::equal(ids.begin(), ids.end(), tokens.ids.begin()));
}

TEST_CASE("Sizes and versions that do not fit are refused with a hint") {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "x.bin";
  const auto refused = [&](const std::string& content, Errc code, const char* why) {
    test::spill(path, content);
    try {
      read_binary_tokens(path);
      FAIL("nothing was refused");
    } catch (const Error& error) {
      const std::string message = error.what();
      CHECK(error.code() == code);
      CHECK_MESSAGE(message.find(why) != std::string::npos, message);
      CHECK(message.find(path) == 0);
    }
  };
  refused("abc", Errc::bad_input, "Hint: a .bin without an llm.c header");
  refused(header(20240520, 1, 4) + raw<std::uint16_t>({1, 2, 3}), Errc::bad_input, "promises 4 ids");
  refused(header(20240520, 1, 2) + raw<std::uint16_t>({1, 2, 3}), Errc::bad_input, "Hint: it was cut off");
  refused(header(20240520, 1, -1), Errc::bad_input, "promises -1 ids");
  refused(header(20240520, 2, 0), Errc::unsupported, "version 2, expected 1");
  refused(header(20240801, 1, 0), Errc::unsupported, "version 1, expected 7");
  refused(header(20240801, 7, 1) + raw<std::uint32_t>({0x80000000u}), Errc::bad_input, "id 2147483648 at position 0");
}
