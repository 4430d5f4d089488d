// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cmath>
#include <csignal>
#include <espalier/backend/host.hpp>
#include <limits>
#include <vector>

#include "every_kernel.hpp"
#include "fiber_team.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

constexpr int kSizes[] = {1, 2, 4, 8, 32};
constexpr Index kLengths[] = {0, 1, 3, 32, 33, 100};

/// f(team) by all members.
template <class F>
void on_crew(int size, const F& f) {
  Crew crew(size);
  run_row(
      crew, [&](auto& team, Index) { f(team); }, 0);
}

/// Whether work() ends the program that does it.
template <class Work>
bool ends_the_program(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(1);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("each reaches every number once, and once happens once, whatever the size of the team") {
  for (const int size : kSizes)
    for (const Index n : kLengths) {
      std::vector<int> x(std::size_t(n), 0);
      int times = 0;
      on_crew(size, [&](auto& team) {
        team.each(n, [&](Index i) { x[std::size_t(i)] += int(i) + 1; });
        team.once([&] { ++times; });
      });
      CHECK(times == 1);
      for (Index i = 0; i < n; ++i) CHECK(x[std::size_t(i)] == i + 1);
    }
}

TEST_CASE("sum and max say the same to every member, and the same as a team of one") {
  const HostTeam host;
  const auto x = eighths<double>(100, 1);
  const auto value = [&](Index i) { return x[std::size_t(i)] - 3; };
  for (const int size : kSizes)
    for (const Index n : kLengths) {
      int members = 0;
      on_crew(size, [&](auto& team) {
        CHECK(team.sum(n, value) == host.sum(n, value));
        if (n > 0) CHECK(team.max(n, value) == host.max(n, value));
        ++members;
      });
      CHECK(members == size);
    }
}

TEST_CASE("small products and copies equal those of a team of one") {
  const HostTeam host;
  const Index m = 7, k = 5, n = 9;
  const auto a = eighths<BFloat16>(m * k, 2);
  const auto b = eighths<float>(n * k, 3), start = eighths<float>(m * n, 4);
  for (const int size : kSizes) {
    for (const float beta : {0.0f, 1.0f, 0.5f}) {
      const auto before = beta == 0 ? std::vector<float>(start.size(), std::nanf("")) : start;
      auto want = before, got = before;
      host.multiply(in(a, m), in(b, n).t(), beta, out(want, m));
      on_crew(size, [&](auto& team) { team.multiply(in(a, m), in(b, n).t(), beta, out(got, m)); });
      CHECK(got == want);
    }
    // To the other order, another type, and two columns that are not there.
    std::vector<float> want(std::size_t(k * (m + 2)), 9), got = want;
    host.copy(in(a, m).t(), out(want, k));
    on_crew(size, [&](auto& team) { team.copy(in(a, m).t(), out(got, k)); });
    CHECK(got == want);
    CHECK(got[std::size_t(m)] == 0);
    std::vector<BFloat16> narrow(std::size_t(n * k));
    on_crew(size, [&](auto& team) { team.copy(in(b, n), out(narrow, n)); });
    CHECK(std::vector<float>(narrow.begin(), narrow.end()) == b);
  }
}

TEST_CASE("two products at once: a column belongs to one member, so that it may add to slots of its own") {
  const HostTeam host;
  const Index rows = 6, rank = 3, cols = 70, slots = 32;
  const auto a = eighths<double>(rows * rank, 5), p = eighths<double>(rank * cols, 6),
             b = eighths<double>(rows * rank, 7), q = eighths<double>(rank * cols, 8);
  const auto sums = [&](auto& team, std::vector<double>& to) {
    team.multiply_both(in(a, rows), in(p, rank), in(b, rows), in(q, rank), [&](Index r, Index j, auto x, auto y) {
      to[std::size_t(r * slots + j % slots)] += x.x + 3 * y.x;
    });
  };
  std::vector<double> want(std::size_t(rows * slots), 1.0);
  sums(host, want);
  for (const int size : kSizes) {
    std::vector<double> got(want.size(), 1.0);
    std::vector<int> owner(std::size_t(slots), -1);
    Crew crew(size);
    crew.run([&](int member) {
      const FiberTeam team{{&crew, member}};
      sums(team, got);
      team.multiply_both(in(a, rows), in(p, rank), in(b, rows), in(q, rank), [&](Index, Index j, auto, auto) {
        int& of = owner[std::size_t(j % slots)];
        CHECK((of == -1 || of == member));
        of = member;
      });
    });
    CHECK(got == want);
  }
}

TEST_CASE("scratch is the team's: what one member stores in it the others see; before that, it may hold anything") {
  for (const int size : kSizes) {
    std::vector<double*> seen;
    on_crew(size, [&](auto& team) {
      double* const memory = team.template scratch<double>(Index(40 * sizeof(double)));
      seen.push_back(memory);
      team.expect(memory, 40);
      if (team.rank() == 0) CHECK(std::isnan(memory[39]));
      team.each(40, [&](Index i) { memory[i] = double(i); });
      for (Index i = 0; i < 40; ++i) CHECK(memory[i] == double(i));
    });
    CHECK(seen == std::vector<double*>(std::size_t(size), seen.front()));
  }
}

// What the law forbids, and how a crew shows it.
namespace wrong {

/// Everybody adds.
struct AddsOutside {
  double* total;
  template <class Team>
  void operator()(Team& team, Index) const {
    const double sum = team.sum(10, [](Index i) { return double(i); });
    *total += sum;
  }
};
/// Those who come later read what those before have stored.
struct StoresWhatOthersRead {
  double *first, *y;
  template <class Team>
  void operator()(Team& team, Index) const {
    const double before = *first;
    *first = 7;
    team.each(64, [&](Index j) { y[j] = before; });
  }
};
/// A neighbour's number, which may not be there yet.
struct ReadsItsNeighbour {
  double *x, *y;
  template <class Team>
  void operator()(Team& team, Index) const {
    team.each(64, [&](Index j) {
      x[j] = double(j);
      y[j] = j > 0 ? x[j - 1] : 0;
    });
  }
};
/// The number that decides is another for every member.
struct BranchesOnItsOwn {
  double* y;
  template <class Team>
  void operator()(Team& team, Index) const {
    Index mine = 0;
    team.each(64, [&](Index j) { mine += j; });
    if (mine < 500) team.each(64, [&](Index j) { y[j] = 1; });
  }
};
/// One member waits for others who are not asked.
struct MeetsInsideOnce {
  double* y;
  template <class Team>
  void operator()(Team& team, Index) const {
    team.once([&] { y[0] = team.sum(64, [](Index j) { return double(j); }); });
  }
};

}  // namespace wrong

TEST_CASE("a crew shows a store that everybody makes, and a read of what another member stores meanwhile") {
  const HostTeam host;
  double alone = 1, together = 1;
  wrong::AddsOutside{&alone}(host, 0);
  CHECK(alone == 46);
  Crew crew(4);
  run_row(crew, wrong::AddsOutside{&together}, 0);
  CHECK(together == 1 + 4 * 45);

  double first = 3;
  std::vector<double> want(64), got(64), x(64);
  wrong::StoresWhatOthersRead{&first, want.data()}(host, 0);
  first = 3;
  run_row(crew, wrong::StoresWhatOthersRead{&first, got.data()}, 0);
  CHECK(got != want);

  wrong::ReadsItsNeighbour{x.data(), want.data()}(host, 0);
  x.assign(64, -1.0);
  run_row(crew, wrong::ReadsItsNeighbour{x.data(), got.data()}, 0);
  CHECK(got != want);
}

TEST_CASE("a verb that not all members reach ends the program") {
  std::vector<double> y(64);
  const auto runs = [&](const auto& kernel) {
    return [&] {
      Crew crew(4);
      run_row(crew, kernel, 0);
    };
  };
  const HostTeam host;
  wrong::BranchesOnItsOwn{y.data()}(host, 0);
  wrong::MeetsInsideOnce{y.data()}(host, 0);
  CHECK(y[0] == 2016);
  CHECK(ends_the_program(runs(wrong::BranchesOnItsOwn{y.data()})));
  CHECK(ends_the_program(runs(wrong::MeetsInsideOnce{y.data()})));
  double total = 0;
  CHECK_FALSE(ends_the_program(runs(wrong::AddsOutside{&total})));
}
