// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>

#include "run_tool.hpp"

using namespace tooltest;

namespace {

/// Bytes of all tensors in a file: what is behind its header.
double tensor_bytes(const std::string& path) {
  const std::string file = read(path);
  std::uint64_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header << 8 | std::uint64_t(std::uint8_t(file[i]));
  return double(file.size()) - 8 - double(header);
}

}  // namespace

TEST_CASE("every target is met within the printed step, as counted from the model that was read back") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const auto dense = run({"plan", checkpoint(), "--json"}).json();
  const double parameters = dense.at("parameters"), macs = dense.at("macs_per_token"), bytes = dense.at("file_bytes");
  CHECK(bytes == tensor_bytes(checkpoint() + "/model.safetensors"));
  for (const auto& [name, target, field] : {std::tuple<std::string, double, std::string>{"--target-parameters", 0.7 * parameters, "parameters"},
                                            {"--target-macs", 0.6 * macs, "macs_per_token"},
                                            {"--target-bytes", 0.75 * bytes, ""}}) {
    const std::string where = name;
    CAPTURE(where);
    const std::vector<std::string> asked{name, std::to_string(std::int64_t(target)), "--min-channels", "4", "--round-to", "4"};
    const Result planned = run(std::vector<std::string>{"plan", checkpoint(), "--json"} + asked);
    CAPTURE(planned.err);
    REQUIRE(planned.code == 0);
    const auto budget = planned.json().at("outcomes").at(0).at("budget");
    const std::string out = scratch / name.substr(2);
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", out, "--steps", "12", "--prune-every", "3", "--seq-len",
                                                  "16", "--batch", "4", "--runs", "1", "--criterion", "magnitude", "--json"} + asked);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto reached = r.json().at("pruning").at("budget");
    const double left = reached.at("left"), step = reached.at("step");
    CHECK(std::abs(left - std::floor(target)) <= step);
    CHECK(step < 0.1 * target);
    CHECK(left == (field.empty() ? tensor_bytes(out + "/model.safetensors") : r.json().at("pruned").at(field).get<double>()));
    CHECK(reached == budget);  // as the plan said
  }
}

TEST_CASE("a share of all parameters, and global ranking with rounding and a number of parameters") {
  const auto outcome = [](const std::vector<std::string>& asked) {
    const Result r = run(std::vector<std::string>{"plan", checkpoint("llama-mha"), "--json"} + asked);
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const auto budget = r.json().at("outcomes").at(0).at("budget");
    CHECK(std::abs(budget.at("left").get<double>() - budget.at("target").get<double>()) <= budget.at("step").get<double>());
    return r.json().at("parameters").get<double>() / budget.at("target").get<double>();
  };
  CHECK(outcome({"--sparsity", "0.2", "--sparsity-of", "all"}) == doctest::Approx(1.25));
  outcome({"--target-params", "9k", "--ranking", "global", "--round-to", "8"});
  outcome({"--target-macs", "9k", "--macs-at", "32", "--layer-floor", "0.25"});
}

TEST_CASE("two ways to say how much, and what cannot be met, are refused before anything is done") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const auto refused = [&](const std::vector<std::string>& asked, const std::string& why) {
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", scratch / "out", "--seq-len", "16", "--steps", "4",
                                                  "--batch", "2"} + asked);
    CAPTURE(why);
    CAPTURE(r.err);
    CHECK(r.code != 0);
    CHECK(r.code <= 3);
    CHECK(r.says(why));
    CHECK(r.out.empty());
    CHECK_FALSE(fs::exists(scratch / "out/model.safetensors"));
    CHECK_FALSE(r.says("step 1"));
  };
  refused({"--sparsity", "0.5", "--target-macs", "1M"}, "--sparsity and --target-macs both say how much");
  refused({"--target-bytes", "1M", "--target-macs", "1M"}, "both say how much");
  refused({"--sparsity-of", "all", "--target-params", "1M"}, "both say how much");
  refused({"--target-latency-ms", "1", "--runs", "5"}, "at least 20");
  refused({"--target-bytes", "1M", "--ranking", "global"}, "--ranking global leaves");
  refused({"--macs-at", "128"}, "--target-macs");
  refused({"--layer-floor", "2"}, "--layer-floor is 2");
  refused({"--target-params", "10"}, "can be reached under these constraints");
  refused({"--target-latency-ms", "1e-6"}, "cannot be reached: the dense model takes");
  refused({"--target-bytes", "1k", "--exclude-layers", "0"}, "every layer is stored as wide as the widest");
}

TEST_CASE("a latency is reached as measured on the model that was written, or the run says that it has failed") {
  const Scratch scratch;
  const std::string data = token_file(scratch, "d.bin", 3000);
  const std::vector<std::string> how{"--seq-len", "128", "--round-to", "4"};
  int kept = 0;
  for (int attempt = 0; attempt < 3 && kept == 0; ++attempt) {  // a machine that others use, too
    const Result dense = run(std::vector<std::string>{"eval", checkpoint(), "-d", data, "--runs", "21", "--json", "--seq-len", "128"});
    REQUIRE(dense.code == 0);
    const double asked = 0.97 * dense.json().at("latency_ms").get<double>();
    const std::string out = scratch / ("out" + std::to_string(attempt));
    const Result r = run(std::vector<std::string>{"prune", checkpoint(), "-d", data, "-o", out, "--steps", "4", "--prune-every", "2", "--batch", "1",
                                                  "--criterion", "magnitude", "--target-latency-ms", std::to_string(asked), "--json"} + how);
    CAPTURE(r.err);
    if (r.code == 2 || r.code == 3) {  // the dense model was not measured to take as long a second time, or nothing held still
      CHECK((r.says("cannot be reached: the dense model takes") || r.says("no model within 5 %")));
      continue;
    }
    const double reached = r.json().at("pruned").at("latency_ms");
    const bool within = std::abs(reached - asked) <= 0.05 * asked;
    CHECK(r.json().at("pruning").at("latency_reached") == within);
    CHECK(r.code == (within ? 0 : 1));
    CHECK(r.says("error: the pruned model takes") == !within);
    CHECK(fs::exists(out + "/model.safetensors"));  // in any case
    CHECK(fs::exists(out + "/report.html"));
    CHECK_FALSE(fs::exists(out + "/LATEST"));
    kept += within;
  }
  WARN(kept == 1);  // a clock decides: what it says is told, and no test fails by it
  const Result refused = run({"prune", checkpoint(), "-d", data, "-o", scratch / "none", "--target-latency-ms", "100000"});
  CHECK(refused.code == 2);
  CHECK(refused.says("cannot be reached: the dense model takes"));
  CHECK(refused.says("and the least one that these constraints allow"));
  CHECK_FALSE(fs::exists(scratch / "none"));
}
