// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <espalier/core/error.hpp>
#include <espalier/model/plan_file.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "temporary_directory.hpp"

namespace esp = espalier;
namespace json = esp::json;

namespace {

esp::PlanFile example() {
  esp::PlanFile file;
  file.source = "tiny \"llama\"", file.sha256 = std::string(64, 'a'), file.layout = "padded";
  file.plan.settings = {{"importance", "taylor"}, {"step", "400"}};
  file.plan.groups = {{"heads", 0, 4, {1, 3}, {0.1, 1.0 / 3, std::numeric_limits<double>::quiet_NaN(), 2e-300}}, {"channels", 0, 3, {0, 1, 2}, {}}};
  file.plan.weights = {{"model.layers.0.mlp.up_proj", 320, 160}, {"model.layers.1.mlp.up_proj", 320, 0}};
  return file;
}

void refuse(const std::string& text, const char* words) {
  CAPTURE(text);
  CHECK_THROWS_WITH_AS(esp::PlanFile::parse(json::parse(text), "plan"), doctest::Contains(words), esp::Error);
}

}  // namespace

TEST_CASE("a plan file reads back as what was written, to the last bit of its scores") {
  const esp::test::TemporaryDirectory folder;
  const auto written = example();
  written.write(folder / "espalier_plan.json");
  const auto read = esp::PlanFile::read(folder / "espalier_plan.json");
  CHECK(read.source == written.source);
  CHECK(read.sha256 == written.sha256);
  CHECK(read.layout == written.layout);
  CHECK(read.plan.settings == written.plan.settings);
  REQUIRE(read.plan.groups.size() == 2);
  CHECK(read.plan.groups[0].kind == "heads");
  CHECK(read.plan.groups[0].kept == written.plan.groups[0].kept);
  CHECK(read.plan.groups[0].full == 4);
  CHECK(read.plan.groups[0].scores[1] == 1.0 / 3);
  CHECK(std::isnan(read.plan.groups[0].scores[2]));
  CHECK(read.plan.groups[0].scores[3] == 2e-300);
  CHECK(read.plan.groups[1].scores.empty());
  REQUIRE(read.plan.weights.size() == 2);
  CHECK(read.plan.weights[0].projection == "model.layers.0.mlp.up_proj");
  CHECK((read.plan.weights[0].full == 320 && read.plan.weights[0].removed == 160));
  CHECK(read.text() == written.text());
}

TEST_CASE("a plan file is JSON to others, with a group to a line") {
  const auto text = example().text();
  const auto other = nlohmann::json::parse(text);
  CHECK(other["format"] == 1);
  CHECK(other["source"]["name"] == "tiny \"llama\"");
  CHECK(other["settings"]["step"] == "400");
  CHECK(other["groups"][0]["kept"] == nlohmann::json({1, 3}));
  CHECK(other["groups"][0]["scores"][2].is_null());
  CHECK(text.find("\n    {\"kind\":\"heads\",\"layer\":0,\"full\":4,\"kept\":[1,3],") != std::string::npos);
  CHECK(nlohmann::json::parse(esp::PlanFile().text())["groups"].empty());
}

TEST_CASE("malformed plans are refused by name") {
  const std::string head = R"({"format": 1, "groups": [{"kind": "heads", "layer": 0, )";
  refuse("[]", "expected an object");
  refuse("{}", "format is missing");
  refuse(R"({"format": 2, "groups": []})", "format is 2");
  refuse(R"({"format": 1})", "groups is not there");
  refuse(R"({"format": 1, "groups": {}})", "groups is not there, or not a list");
  refuse(R"({"format": 1, "groups": [7]})", "groups[0]: expected an object");
  refuse(R"({"format": 1, "groups": [{"layer": 0}]})", "kind is missing");
  refuse(R"({"format": 1, "groups": [{"kind": "heads", "layer": -1}]})", "layer is -1");
  refuse(head + R"("full": 0, "kept": [0]}]})", "full is 0");
  refuse(head + R"("full": 4}]})", "kept is not there");
  refuse(head + R"("full": 4, "kept": []}]})", "kept is empty");
  refuse(head + R"("full": 4, "kept": [4]}]})", "kept has 4, expected numbers from 0 to 3");
  refuse(head + R"("full": 4, "kept": [-1]}]})", "kept has -1");
  refuse(head + R"("full": 4, "kept": [1.5]}]})", "kept has 1.5");
  refuse(head + R"("full": 4, "kept": [1, 1]}]})", "not ascending at 1");
  refuse(head + R"("full": 4, "kept": [1], "scores": [1, 2]}]})", "scores is not a list of 4 numbers");
  refuse(head + R"("full": 1, "kept": [0], "scores": ["x"]}]})", "scores has 'x'");
  const std::string weights = R"({"format": 1, "groups": [], "weights": )";
  refuse(weights + "{}}", "weights is not a list");
  refuse(weights + "[7]}", "weights[0]: expected an object");
  refuse(weights + R"([{"full": 4, "removed": 1}]})", "projection is missing");
  refuse(weights + R"([{"projection": "p", "full": 4, "removed": 5}]})", "removed is 5");
}
