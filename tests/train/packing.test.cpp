// SPDX-License-Identifier: MIT
// Training on packed documents: the laws of any other run.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "support/compiled_training.hpp"
#include "support/temporary_directory.hpp"
#include "support/threads.hpp"
#include "support/tiny_model.hpp"

using namespace espalier;
using Device = Cpu<float>;
using Model = test::TinyModel<Device>;

namespace {

/// Words, each a document, some longer than a window.
TokenFile words() { return test::tiny_text(2000).in_documents({' ', 'o'}); }

struct Run {
  Device device;
  Model model{device, {.rank = 2, .dropout = 0.1}};
  AdamW<Model> optimizer{model};
  Trainer<Model> trainer;

  explicit Run(const std::string& folder = "", Packing packing = Packing::documents)
      : trainer(model, optimizer, words().batches({.size = 2, .length = 8, .steps = 90, .seed = 3, .accumulate = 2, .packing = packing}),
                {.rate = {.peak = 1e-2}, .checkpoints = folder}) {}
  std::string hash() { return test::hash_of_training(model); }
};

}  // namespace

TEST_CASE("A run on packed documents that is taken up in the middle of an epoch ends in the bits of one that never stopped") {
  Run whole;
  const auto& batches = whole.trainer.batches();
  REQUIRE(batches.epochs(40) > 0.4);
  REQUIRE(batches.epochs(90) > 1);
  REQUIRE(batches.epochs(40) < 0.9);
  whole.trainer.run();
  const test::TemporaryDirectory folder;
  {
    Run first(folder / "run");
    test::TrainingLog log;
    log.then = [&](const StepReport& r) {
      if (r.step == 40) first.trainer.stop();
    };
    REQUIRE(first.trainer.run(log).stopped);
  }
  Run second(folder / "run");
  REQUIRE(second.trainer.resume()->step == 40);
  second.trainer.run();
  CHECK(second.hash() == whole.hash());

  Run other(folder / "run", Packing::none);
  CHECK_THROWS_WITH_AS(other.trainer.resume(), doctest::Contains("another value of batches"), Error);
}

TEST_CASE("Packed documents are learnt with the same bits for any number of threads, and not with those of windows of their own") {
  std::set<std::string> hashes;
  for (const int threads : {1, 2, 3}) {
    test::use_threads(threads);
    Run run;
    run.trainer.run();
    hashes.insert(run.hash());
  }
  test::use_threads(2);
  CHECK(hashes.size() == 1);
  Run apart("", Packing::none);
  apart.trainer.run();
  CHECK(hashes.count(apart.hash()) == 0);
}
