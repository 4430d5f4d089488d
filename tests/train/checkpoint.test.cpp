// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/backend/cpu.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/train/trainer.hpp>
#include <filesystem>

#include "support/compiled_training.hpp"
#include "support/temporary_directory.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;

namespace {

/// Eight steps with a checkpoint after every third: 3, 6 and 8, of which two stay.
struct Run {
  Device device;
  Model model;
  AdamW<Model> optimizer;
  Trainer<Model> trainer;

  explicit Run(const std::string& folder, LowRankOptions adapter = {.rank = 2, .targets = {"v_proj"}},
               double peak = 1e-2, TokenFile text = test::tiny_text(800), std::string identity = "")
      : model(device, adapter),
        optimizer(model),
        trainer(model, optimizer, text.batches({.size = 1, .length = 12, .steps = 8}),
                {.rate = {.peak = peak}, .checkpoints = folder, .checkpoint_every = 3, .identity = identity}) {}
  std::string hash() { return test::hash_of_training(model); }
};

void flip(const std::string& path, std::size_t at) {
  std::string bytes = test::slurp(path);
  bytes.at(at) = char(bytes[at] ^ 1);
  test::spill(path, bytes);
}
std::string refusal(const auto& f, Errc code) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "nothing was refused";
}
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("Two checkpoints stay, LATEST names the newer, and the manifest says what is in it") {
  const test::TemporaryDirectory folder;
  Run run(folder / "a/b/run");
  run.trainer.run();
  const std::filesystem::path here = folder / "a/b/run";
  CHECK(test::slurp(here / "LATEST") == "checkpoint-8\n");
  CHECK(std::filesystem::exists(here / "checkpoint-6/state.safetensors"));
  CHECK_FALSE(std::filesystem::exists(here / "checkpoint-3"));
  const auto manifest = json::read_file(here / "checkpoint-8/MANIFEST.json");
  CHECK(manifest.index("step") == 8);
  CHECK(manifest.at("data").index("windows") == 8);
  const auto& file = manifest.at("files").at(0);
  CHECK(file.text("name") == "state.safetensors");
  CHECK(file.index("bytes") == Index(std::filesystem::file_size(here / "checkpoint-8/state.safetensors")));
  CHECK(file.text("sha256") == sha256_of_file(here / "checkpoint-8/state.safetensors"));
  const SafetensorsFile state(here / "checkpoint-8/state.safetensors");
  CHECK(state.contains("value/model.layers.0.self_attn.v_proj.lora_A.weight"));
  CHECK(state.contains("moment1/model.layers.1.self_attn.v_proj.lora_B.weight"));
  CHECK(state.info("mask/layer 1 channels").elements() == 40);
}

TEST_CASE("Where there is no checkpoint yet there is nothing to resume") {
  const test::TemporaryDirectory folder;
  Run run(folder / "run");
  CHECK_FALSE(run.trainer.resume().has_value());
  CHECK(run.trainer.step() == 0);
}

TEST_CASE("Any flipped bit of a checkpoint is noticed") {
  const test::TemporaryDirectory folder;
  Run run(folder / "run");
  run.trainer.run();
  const std::string checkpoint = folder / "run/checkpoint-8";
  CHECK_NOTHROW(CheckpointDirectory::verify(checkpoint));
  Index flips = 0;
  for (const char* name : {"/MANIFEST.json", "/state.safetensors"}) {
    const std::string path = checkpoint + name, whole = test::slurp(path);
    const std::size_t stride = std::max<std::size_t>(1, whole.size() / 400);
    for (std::size_t at = 0; at < whole.size(); at += stride, ++flips) {
      flip(path, at);
      CHECK_THROWS_AS(CheckpointDirectory::verify(checkpoint), Error);
      test::spill(path, whole);
    }
  }
  CHECK(flips > 700);
  CHECK_NOTHROW(CheckpointDirectory::verify(checkpoint));
}

TEST_CASE("A damaged checkpoint is passed over, which is said, and the run ends in the same bits") {
  const test::TemporaryDirectory folder;
  std::string expected;
  {
    Run run(folder / "run");
    run.trainer.run();
    expected = run.hash();
  }
  const std::string newest = folder / "run/checkpoint-8/";
  const auto recovers = [&](std::string_view note, Index from) {
    Run run(folder / "run");
    const auto resumed = run.trainer.resume();
    REQUIRE(resumed.has_value());
    CHECK(resumed->step == from);
    CHECK(resumed->notes.size() == (note.empty() ? 0 : 1));
    for (const auto& n : resumed->notes) CHECK_MESSAGE(holds(n, note), n);
    run.trainer.run();
    CHECK(run.hash() == expected);
    CHECK_NOTHROW(CheckpointDirectory::verify(newest));  // written anew
    CHECK(test::slurp(folder / "run/LATEST") == "checkpoint-8\n");
  };
  recovers("", 8);
  flip(newest + "state.safetensors", 4000);
  recovers("checkpoint-8 is passed over", 6);
  test::spill(newest + "state.safetensors", test::slurp(newest + "state.safetensors").substr(0, 100));
  recovers("100 bytes, the manifest says", 6);
  std::filesystem::remove(newest + "state.safetensors");
  recovers("cannot open", 6);
  std::filesystem::remove(newest + "MANIFEST.json");
  recovers("cannot open", 6);
  flip(newest + "MANIFEST.json", 60);
  recovers("checkpoint-8", 6);
  test::spill(folder / "run/LATEST", "checkpoint-6\n");  // killed between the two
  recovers("", 6);
  test::spill(folder / "run/LATEST", "../../etc/passwd");
  recovers("", 8);
  std::filesystem::remove(folder / "run/LATEST");
  std::filesystem::remove_all(folder / "run/checkpoint-8");
  recovers("", 6);
}

TEST_CASE("When no checkpoint is intact, that is an error and not a fresh start") {
  const test::TemporaryDirectory folder;
  Run(folder / "run").trainer.run();
  for (const char* name : {"run/checkpoint-6/state.safetensors", "run/checkpoint-8/state.safetensors"})
    flip(folder / name, 3000);
  Run run(folder / "run");
  CHECK(holds(refusal([&] { run.trainer.resume(); }, Errc::bad_input), "no checkpoint is intact"));
}

TEST_CASE("A checkpoint of another run is refused by name, and nothing is changed") {
  const test::TemporaryDirectory folder;
  Run(folder / "run").trainer.run();
  const auto refused = [&](Run& run, std::string_view why) {
    const std::string before = run.hash();
    const std::string message = refusal([&] { run.trainer.resume(); }, Errc::usage);
    CHECK_MESSAGE(holds(message, why), message);
    CHECK(run.hash() == before);
    CHECK(run.trainer.step() == 0);
  };
  Run base(folder / "run");
  base.model.model.norm.weight.view()(3) += 1e-7f;
  refused(base, "another base model");
  Run rate(folder / "run", {.rank = 2, .targets = {"v_proj"}}, 1e-3);
  refused(rate, "another value of rate.peak");
  Run text(folder / "run", {.rank = 2, .targets = {"v_proj"}}, 1e-2, test::tiny_text(801));
  refused(text, "another training data");
  Run identity(folder / "run", {.rank = 2, .targets = {"v_proj"}}, 1e-2, test::tiny_text(800), "--criterion taylor");
  refused(identity, "another value of identity");
  Run rank(folder / "run", {.rank = 3, .targets = {"v_proj"}});
  refused(rank, "another type or shape");
  Run targets(folder / "run", {.rank = 2, .targets = {"v_proj", "q_proj"}});
  refused(targets, "has no");
  Run fewer(folder / "run", {.rank = 2, .targets = {"layers.0.self_attn.v_proj"}});
  refused(fewer, "pieces of state");
}

TEST_CASE("What a dead process left behind is removed; what a living one writes is not") {
  const test::TemporaryDirectory folder;
  std::filesystem::create_directories(folder / "run/.checkpoint-3.tmp-999999999-0");
  test::spill(folder / "run/.checkpoint-3.tmp-999999999-0/state.safetensors", "half");
  test::spill(folder / "run/.LATEST.tmp-999999999-1", "check");
  std::filesystem::create_directories(folder / ("run/.checkpoint-6.tmp-" + std::to_string(::getppid()) + "-0"));
  Run(folder / "run").trainer.run();
  std::size_t hidden = 0;
  for (const auto& e : std::filesystem::directory_iterator(folder / "run"))
    hidden += e.path().filename().string()[0] == '.';
  CHECK(hidden == 1);
}

TEST_CASE("State goes through a file bit for bit, NaN and denormal numbers included") {
  const test::TemporaryDirectory folder;
  Device device;
  Model a(device), b(device, {.rank = 4}, 9);
  AdamW first(a), second(b);
  NoPruner none;
  a.run.arena.value()[0] = std::numeric_limits<float>::quiet_NaN();
  a.run.arena.value()[1] = 1e-42f;
  a.run.arena.moment(device, 1)[5] = 3;
  std::vector<std::uint8_t> bits(40, 1);
  bits[7] = 0;
  a.groups([&](auto g) {
    if (g.kind == "channels") g.mask->set(device, bits, true);
  });
  REQUIRE(test::hash_of_training(a) != test::hash_of_training(b));
  {
    io::StagedDirectory staged(folder / "x");
    take_state(a, none).write(staged, "state.safetensors");
    staged.commit();
  }
  put_state(TrainingState::read(folder / "x/state.safetensors"), b, none);
  b.run.step = a.run.step;
  CHECK(test::hash_of_training(a) == test::hash_of_training(b));
  b.groups([&](auto g) {
    if (g.kind == "channels")
      CHECK((g.mask->straight_through() && g.mask->backward()(7) == 1 && g.mask->forward()(7) == 0));
  });
}
