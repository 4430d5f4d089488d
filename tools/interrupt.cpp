// SPDX-License-Identifier: MIT
#include "interrupt.hpp"

#include <signal.h>
#include <unistd.h>

namespace espalier::tool {
namespace {

volatile sig_atomic_t noted = 0;

extern "C" void note(int) {
  if (noted != 0) ::_exit(130);
  noted = 1;
}

void on(int signal, void (*what)(int)) {
  struct sigaction action = {};
  action.sa_handler = what;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void ignore_broken_pipes() { on(SIGPIPE, SIG_IGN), on(SIGXFSZ, SIG_IGN); }

Interruptible::Interruptible() { noted = 0, on(SIGINT, note), on(SIGTERM, note); }
Interruptible::~Interruptible() { on(SIGINT, SIG_DFL), on(SIGTERM, SIG_DFL); }
bool interrupted() { return noted != 0; }

}  // namespace espalier::tool
