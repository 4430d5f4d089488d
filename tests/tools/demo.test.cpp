// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

TEST_CASE("the demo, shortened: what is read back is what was written, and everything is there to look at") {
  REQUIRE(fs::exists(std::string(ESPALIER_DEMO_DIR) + "/model.safetensors"));
  const Scratch scratch;
  const Result r = run({"demo", "-o", scratch / "demo", "--steps", "6", "--prune-every", "1", "--eval-every", "0", "--batch", "2",
                        "--val-tokens", "2048", "--runs", "3", "--threads", "2", "--json"});
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const auto result = r.json();
  CHECK(result.at("reload").at("different") == 0);
  CHECK(result.at("reload").at("logits") == 256 * 256);
  CHECK(result.at("bound").at("judged") == false);
  CHECK(result.at("layout") == "uniform");
  CHECK(result.at("dense").at("parameters") == 1017216);
  CHECK(result.at("pruned").at("parameters") == 525696);  // 2 of 4 groups and 192 of 384 channels in each of 5 layers
  CHECK(result.at("pruned").at("macs_per_token").get<double>() <
        0.52 * result.at("dense").at("macs_per_token").get<double>());
  CHECK(result.at("padded").at("latency_ms").get<double>() > 0);
  for (const char* name : {"report.html", "run.json", "metrics.jsonl", "model.safetensors", "config.json",
                           "espalier_plan.json", "padded/config.json"}) {
    CAPTURE(name);
    CHECK(fs::exists(scratch / ("demo/" + std::string(name))));
  }
  CHECK(run({"demo", "-o", scratch / "demo"}).code == 2);
}

TEST_CASE("a demo without its checkpoint says where it looked") {
  const Scratch scratch;
  const Result r = run({"demo", scratch.path(), "-o", scratch / "demo"});
  CHECK(r.code == 3);
  CHECK(r.says(scratch.path()));
  CHECK_FALSE(fs::exists(scratch / "demo"));
}
