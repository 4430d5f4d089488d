// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <espalier/io/sha256.hpp>
#include <string>

#include "support/temporary_directory.hpp"

using namespace espalier;

TEST_CASE("SHA-256 of the vectors of FIPS 180-4 and NIST") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu") ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not care in which pieces it is fed") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (std::size_t length = 0; length <= 200; ++length) {
    const std::string_view whole = std::string_view(text).substr(0, length);
    for (const std::size_t cut : {std::size_t{0}, length / 3, length / 2, length}) {
      Sha256 pieces;
      pieces.update(whole.substr(0, cut)).update(whole.substr(cut));
      REQUIRE(pieces.hex() == sha256_hex(whole));
    }
  }
}

TEST_CASE("the digest may be asked for and feeding go on") {
  Sha256 hash;
  hash.update("a");
  CHECK(hash.hex() == sha256_hex("a"));
  hash.update("bc");
  CHECK(hash.hex() == sha256_hex("abc"));
}

TEST_CASE("a file has the digest of its contents, over several pieces") {
  const test::TemporaryDirectory folder;
  const std::string text((std::size_t{1} << 20) + 12345, 'x');
  test::spill(folder / "big", text);
  test::spill(folder / "none", "");
  CHECK(sha256_of_file(folder / "big") == sha256_hex(text));
  CHECK(sha256_of_file(folder / "none") == sha256_hex(""));
  CHECK_THROWS_AS(sha256_of_file(folder / "missing"), Error);
}
