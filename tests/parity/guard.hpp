// SPDX-License-Identifier: MIT
#pragma once
// A host that touches the device's memory dies of it where that is guarded: so a run there proves that nobody does.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "parity/memory.hpp"

namespace espalier::test::parity {

enum class Fate { lives, dies, other };

/// What becomes of a process that does this.
template <class F>
Fate fate_of(F&& f) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    f();
    ::_exit(0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return Fate::other;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) return Fate::dies;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? Fate::lives : Fate::other;
}

template <class Device>
void guard(Judge& judge) {
  if constexpr (Counting<Device>)
    run_case<Device>(judge, "guard/the host's fate", [&](Device&, Thrice& thrice) {
      using A = typename Device::Accumulate;
      for (const bool guarded : {false, true}) {
        auto options = options_of<Device>(judge.settings);
        options.guarded = guarded;
        Device device(options);
        auto model = untrained(device);
        const Fate expected = guarded ? Fate::dies : Fate::lives;
        const std::string where = guarded ? "guarded: " : "open: ";
        const auto check = [&](Outputs& out) {
          Tensor<Device, A, 1> numbers(device, 5);
          const auto meets = [&](const char* what, auto f) { out.holds(where + what, fate_of(f) == expected); };
          meets("a read", [&] { [[maybe_unused]] volatile A x = numbers.view()(4); });
          meets("a write", [&] { *const_cast<volatile A*>(numbers.view().data) = A(1); });
          meets("a read of the step's state", [&] { [[maybe_unused]] volatile auto x = model.run.on_device()->step; });
          const std::vector<A> five(5, A(5));
          device.upload(numbers.view().data, five.data(), 5);
          model.loss(Tokens(model.config.vocab, {1, 9}));
          meets("a read after uploads and launches", [&] { [[maybe_unused]] volatile A x = numbers.view()(0); });
          meets("a read of a parameter", [&] {
            for_each_parameter(model, [](const std::string&, auto& p) { [[maybe_unused]] volatile A x = p.value(0, 0); });
          });
          out.holds(where + "what looks at nothing lives", fate_of([&] { device.download(numbers.view().data, const_cast<A*>(five.data()), 5); }) == Fate::lives);
          out.agree(where + "the numbers are still there", fetch(device, numbers.view().data, 5), std::vector<double>(5, 5), Match::exact);
        };
        for (Outputs& run : thrice.runs) check(run);
      }
    });
}

}  // namespace espalier::test::parity
