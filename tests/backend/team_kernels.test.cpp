// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <espalier/backend/host.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "every_kernel.hpp"
#include "fiber_team.hpp"
#include "watched_team.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

struct Result {
  std::string kernel;
  Sums sums;
  std::vector<std::vector<double>> outputs;
};

/// Launches on HostTeam (no members) or on a crew of that many, fewer where a kernel allows no more, and keeps what
/// came out.
class Launch {
 public:
  explicit Launch(int members) : members_(members), crew_(members), largest_(std::min(members, 32)) {}

  template <class Kernel, class... Output>
  void operator()(const char* name, Sums sums, Index rows, const Kernel& kernel, const Output&... outputs) {
    results.push_back({name, sums, {}});
    for (Index i = 0; i < rows; ++i) {
      HostTeam alone;
      if (members_ == 0) kernel(alone, i);
      else run_row(limited<Kernel>() ? largest_ : crew_, kernel, i);
    }
    (results.back().outputs.push_back(numbers_of(outputs)), ...);
  }
  std::vector<Result> results;

 private:
  template <class Kernel>
  static constexpr bool limited() {
    if constexpr (requires { Kernel::kMembers; }) {
      static_assert(Kernel::kMembers == 32);
      return true;
    }
    return false;
  }
  int members_;
  Crew crew_, largest_;
};

constexpr int kHost = 0;
template <class T, class A>
std::vector<Result> results_on(int members) {
  Launch launch(members);
  every_kernel<T, A>(launch);
  return launch.results;
}

/// Launches on two members and notes the kernels that store what others see between verbs.
struct WatchedLaunch {
  template <class Kernel, class... Output>
  void operator()(const char* name, Sums, Index rows, const Kernel& kernel, const Output&... outputs) {
    Watch watch(crew, {std::as_bytes(std::span(outputs))...});
    for (Index i = 0; i < rows; ++i) run_row(crew, watch, kernel, i);
    if (watch.broken()) broken += std::string(name) + ' ';
  }
  Crew crew{2};
  std::string broken;
};

/// Σ (a − b)² / Σ b²
double square_error(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) error += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
  return size == 0 ? error : error / size;
}
double largest_error(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, size = 1e-300;
  for (std::size_t i = 0; i < b.size(); ++i)
    error = std::max(error, std::abs(a[i] - b[i])), size = std::max(size, std::abs(b[i]));
  return error / size;
}

}  // namespace

TEST_CASE("every kernel computes the same on a team of any size as on a team of one") {
  const auto want = results_on<double, double>(kHost);
  for (const int size : {1, 2, 4, 32, 64}) {
    const auto got = results_on<double, double>(size);
    REQUIRE(got.size() == want.size());
    for (std::size_t n = 0; n < want.size(); ++n) {
      CAPTURE(size);
      CAPTURE(want[n].kernel);
      REQUIRE(got[n].outputs.size() == want[n].outputs.size());
      for (std::size_t o = 0; o < want[n].outputs.size(); ++o) {
        if (want[n].sums == Sums::exact) CHECK(got[n].outputs[o] == want[n].outputs[o]);
        CHECK(largest_error(got[n].outputs[o], want[n].outputs[o]) <= 1e-12);
      }
    }
  }
}

TEST_CASE("no kernel stores what others see but in each and in once") {
  WatchedLaunch launch;
  every_kernel<double, double>(launch);
  CHECK(launch.broken == "");
  // The watch sees a store of what is there already by the next member.
  std::vector<double> x(1);
  const auto wrong = [&](auto& team, Index) {
    const double sum = team.sum(3, [](Index i) { return double(i); });
    x[0] = sum;
  };
  launch("wrong", Sums::exact, 1, wrong, x);
  CHECK(launch.broken == "wrong ");
}

TEST_CASE("with activations in bf16 every kernel computes what it computes in float, rounded") {
  const auto want = results_on<float, float>(kHost), host = results_on<BFloat16, float>(kHost),
             crew = results_on<BFloat16, float>(8);
  REQUIRE(crew.size() == want.size());
  for (std::size_t n = 0; n < want.size(); ++n)
    for (std::size_t o = 0; o < want[n].outputs.size(); ++o) {
      CAPTURE(want[n].kernel);
      CHECK(square_error(host[n].outputs[o], want[n].outputs[o]) <= 1e-4);
      CHECK(square_error(crew[n].outputs[o], want[n].outputs[o]) <= 1e-4);
    }
}

TEST_CASE("every kernel that asks for a team is in the list") {
  std::set<std::string> listed, written;
  for (const Result& r : results_on<double, double>(kHost)) listed.insert(r.kernel);
  const auto folder = std::filesystem::path(ESPALIER_TEST_DATA) / "../../include/espalier/kernel";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    std::string line, name;
    while (std::getline(file, line)) {
      if (line.rfind("struct ", 0) == 0) name = line.substr(7, line.find_first_of(" {:", 7) - 7);
      if (line.find("operator()(Team&") != std::string::npos) written.insert(name);
    }
  }
  CHECK(written.size() > 20);
  for (const std::string& kernel : written) CHECK_MESSAGE(listed.count(kernel) == 1, kernel);
  for (const std::string& kernel : listed) CHECK_MESSAGE(written.count(kernel) == 1, kernel);
}
