// SPDX-License-Identifier: MIT
#include <cstring>
#include <doctest/doctest.h>
#include <espalier/io/checkpoint_files.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/stat.h>

#include "support/temporary_directory.hpp"

using namespace espalier;
using namespace std::string_literals;
using enum CheckpointError;
namespace fs = std::filesystem;

namespace {

/// A shard that holds the named tensors, each of two floats: the length of its name and `mark`.
void write_shard(const std::string& path, const std::vector<std::string>& names, float mark) {
  std::vector<TensorSpec> specs;
  for (const std::string& name : names) specs.push_back({name, Dtype::f32, {2}});
  write_safetensors(path, specs, {{"format", "pt"}}, [&](const TensorInfo& tensor, auto& sink) {
    const float numbers[2] = {static_cast<float>(tensor.name.size()), mark};
    sink.write_numbers(std::span<const float>(numbers), Dtype::f32);
  });
}

const std::string index_name = "model.safetensors.index.json", first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors";

/// A directory with two shards and an index, all in order.
struct Sharded {
  test::TemporaryDirectory folder;
  nlohmann::json index = {{"metadata", {{"total_size", 24}}}, {"weight_map", {{"a", first}, {"bb", second}, {"ccc", first}}}};
  Sharded() {
    write_shard(folder / first, {"a", "ccc"}, 1);
    write_shard(folder / second, {"bb"}, 2);
    save();
  }
  void save() { test::spill(folder / index_name, index.dump()); }
  std::string path() const { return folder.path().string(); }
};

void check_refused(const std::string& directory, CheckpointError reason) {
  try {
    const TensorFiles files(directory);
    FAIL_CHECK("accepted");
  } catch (const MalformedCheckpoint& e) {
    CHECK_MESSAGE(e.reason() == reason, std::string(e.what()));
    CHECK(e.code() == Errc::bad_input);
  }
}

}  // namespace

TEST_CASE("one file, or several with an index, are read as one table of tensors") {
  const Sharded sharded;
  const TensorFiles files(sharded.path());
  CHECK(files.names() == std::vector<std::string>{"a", "bb", "ccc"});
  CHECK(files.size() == 3);
  CHECK(files.files().size() == 2);
  CHECK(files.total_bytes() == 24);
  CHECK(files.format() == "pt");
  CHECK(files.contains("bb"));
  CHECK_FALSE(files.contains("b"));
  CHECK(files.info("ccc").shape == std::vector<Index>{2});
  std::vector<float> numbers(2);
  files.read_numbers("ccc", std::span(numbers));
  CHECK(numbers == std::vector<float>{3, 1});
  files.read("bb", std::as_writable_bytes(std::span(numbers)));
  CHECK(numbers == std::vector<float>{2, 2});
  CHECK_THROWS_AS(files.info("x"), MalformedCheckpoint);

  SUBCASE("model.safetensors is preferred to an index") {
    write_shard(sharded.folder / "model.safetensors", {"only"}, 3);
    CHECK(TensorFiles(sharded.path()).names() == std::vector<std::string>{"only"});
  }
  SUBCASE("another stem names other files") {
    write_shard(sharded.folder / "adapter_model.safetensors", {"lora"}, 3);
    CHECK(TensorFiles(sharded.path(), "adapter_model").names() == std::vector<std::string>{"lora"});
  }
  SUBCASE("it may be moved") {
    TensorFiles from(sharded.path());
    const TensorFiles to = std::move(from);
    to.read_numbers("a", std::span(numbers));
    CHECK(numbers == std::vector<float>{1, 1});
  }
}

TEST_CASE("a checkpoint that transformers has sharded is read, every tensor where the index says") {
  const std::string directory = std::string(ESPALIER_TEST_DATA) + "/hf/llama-sharded";
  const TensorFiles files(directory);
  CHECK(files.files().size() > 1);
  const auto index = nlohmann::json::parse(test::slurp(directory + "/" + index_name));
  CHECK(files.names().size() == index["weight_map"].size());
  for (const auto& [name, shard] : index["weight_map"].items()) {
    CHECK(io::base_name(files.file(name).path()) == shard.get<std::string>());
  }
  CHECK(files.total_bytes() == index["metadata"]["total_size"].get<std::uint64_t>());
}

TEST_CASE("a wrong total size, unknown metadata and no metadata at all do not matter") {
  Sharded sharded;
  sharded.index["metadata"]["total_size"] = 1;
  sharded.index["metadata"]["total_parameters"] = {1, nullptr};
  sharded.index["more"] = 1;
  sharded.save();
  CHECK(TensorFiles(sharded.path()).size() == 3);
  sharded.index.erase("metadata");
  sharded.save();
  CHECK(TensorFiles(sharded.path()).size() == 3);
}

TEST_CASE("each way in which an index can be wrong has its own error") {
  Sharded sharded;
  auto& map = sharded.index["weight_map"];
  const auto refused = [&](CheckpointError reason) {
    sharded.save();
    check_refused(sharded.path(), reason);
  };
  const auto text_refused = [&](const std::string& text, CheckpointError reason) {
    CAPTURE(text);
    test::spill(sharded.folder / index_name, text);
    check_refused(sharded.path(), reason);
  };
  SUBCASE("not JSON") {
    for (const std::string text : {"", "{", "[", "{} {}", "{\"weight_map\":{},}", "\xef\xbb\xbf{}", "{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"y.safetensors\"}}",
                                   "{\"weight_map\":{\"a\":\"x.safetensors\",\"\\u0061\":\"x.safetensors\"}}", "{\"weight_map\":{},\"weight_map\":{}}"}) {
      text_refused(text, not_json);
    }
  }
  SUBCASE("no weight map") {
    for (const char* text : {"{}", "[]", "null", "{\"weight_map\":null}", "{\"weight_map\":[]}", "{\"weight_map\":\"x\"}", "{\"weightmap\":{}}"}) text_refused(text, no_weight_map);
  }
  SUBCASE("no text for a file") {
    for (const char* text : {"{\"weight_map\":{\"a\":1}}", "{\"weight_map\":{\"a\":null}}", "{\"weight_map\":{\"a\":[\"x.safetensors\"]}}"}) text_refused(text, bad_weight_map);
  }
  SUBCASE("hostile names") {
    for (const std::string& name :
         {""s, "."s, ".."s, "/etc/passwd"s, "/etc/passwd.safetensors"s, "../x.safetensors"s, "sub/../../x.safetensors"s, "sub/x.safetensors"s, "..\\x.safetensors"s,
          "\\\\host\\x.safetensors"s, "C:x.safetensors"s, "C:\\x.safetensors"s, "x\0.safetensors"s, "x\n.safetensors"s, "\x1b[2J.safetensors"s, ".safetensors"s,
          "pytorch_model.bin"s, "model.safetensors.bak"s, "model.SAFETENSORS"s, std::string(250, 'x') + ".safetensors", "./" + first}) {
      CAPTURE(name);
      map["a"] = name;
      refused(bad_shard_name);
    }
  }
  SUBCASE("a shard that is not there") {
    map["a"] = "model-00003-of-00002.safetensors";
    refused(missing_shard);
  }
  SUBCASE("a shard in other letters") {
    map["a"] = "MODEL-00001-of-00002.safetensors";
    refused(missing_shard);
  }
  SUBCASE("a shard that leads nowhere or out") {
    fs::remove(sharded.folder / second);
    fs::create_symlink("nowhere", sharded.folder / second);
    refused(shard_outside);
    fs::remove(sharded.folder / second);
    const test::TemporaryDirectory elsewhere;
    write_shard(elsewhere / "x.safetensors", {"bb"}, 2);
    fs::create_symlink(elsewhere / "x.safetensors", sharded.folder / second);
    refused(shard_outside);
    fs::remove(sharded.folder / second);
    fs::create_symlink("/dev/zero", sharded.folder / second);
    refused(shard_outside);
  }
  SUBCASE("a tensor that its shard lacks") {
    map["dddd"] = first;
    refused(missing_tensor);
  }
  SUBCASE("a tensor that is in the other shard") {
    map["a"] = second;
    refused(missing_tensor);
  }
  SUBCASE("a tensor in two shards") {
    write_shard(sharded.folder / second, {"a", "bb"}, 2);
    refused(in_two_shards);
  }
  SUBCASE("a tensor that the index does not name") {
    write_shard(sharded.folder / second, {"bb", "dddd"}, 2);
    refused(unlisted_tensor);
  }
  SUBCASE("a hundred thousand shards that are not there") {
    for (int i = 0; i < 100'000; ++i) map["t" + std::to_string(i)] = "model-" + std::to_string(i) + ".safetensors";
    refused(missing_shard);
  }
}

TEST_CASE("a shard that is malformed, a FIFO or a directory is refused without waiting") {
  const Sharded sharded;
  fs::remove(sharded.folder / second);
  SUBCASE("malformed") {
    test::spill(sharded.folder / second, "half a file");
    CHECK_THROWS_AS(TensorFiles(sharded.path()), MalformedSafetensors);
  }
  SUBCASE("FIFO") {
    REQUIRE(::mkfifo((sharded.folder / second).c_str(), 0600) == 0);
    CHECK_THROWS_AS(TensorFiles(sharded.path()), Error);
  }
  SUBCASE("directory") {
    fs::create_directory(sharded.folder / second);
    CHECK_THROWS_AS(TensorFiles(sharded.path()), Error);
  }
}

TEST_CASE("a directory without tensors says what it looked for, and what it never reads") {
  const test::TemporaryDirectory folder;
  check_refused(folder.path().string(), no_model);
  test::spill(folder / "pytorch_model.bin", "pickle");
  CHECK_THROWS_WITH(TensorFiles(folder.path().string()),
                    (folder.path().string() + ": neither model.safetensors nor model.safetensors.index.json is there; pytorch_model.bin is a pickle, "
                                              "which is never read: convert it to safetensors").c_str());
  CHECK_THROWS_AS(TensorFiles(folder / "missing"), Error);
  CHECK_THROWS_AS(TensorFiles(folder / "pytorch_model.bin"), Error);
}

TEST_CASE("a Hugging Face cache, where every file is a link into blobs, is read") {
  const test::TemporaryDirectory folder;
  const std::string blobs = folder / "models--a--b/blobs", snapshot = folder / "models--a--b/snapshots/0123";
  fs::create_directories(blobs);
  fs::create_directories(snapshot);
  write_shard(blobs + "/1", {"a"}, 1);
  write_shard(blobs + "/2", {"bb"}, 2);
  test::spill(blobs + "/3", nlohmann::json{{"weight_map", {{"a", first}, {"bb", second}}}}.dump());
  fs::create_symlink("../../blobs/1", snapshot + "/" + first);
  fs::create_symlink("../../blobs/2", snapshot + "/" + second);
  fs::create_symlink("../../blobs/3", snapshot + "/" + index_name);
  CHECK(TensorFiles(snapshot).size() == 2);
  fs::create_symlink("../../blobs/1", snapshot + "/model.safetensors");
  CHECK(TensorFiles(snapshot).size() == 1);
}
