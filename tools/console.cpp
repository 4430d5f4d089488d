// SPDX-License-Identifier: MIT
#include "console.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "settings.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

bool terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(2) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

void write_line(std::string_view text) {
  std::string line(text);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // one write a line; a closed stderr stops nobody
}

}  // namespace

bool stderr_has_color() {
  const char* no = std::getenv("NO_COLOR");
  return terminal() && (no == nullptr || *no == '\0');
}

Console::Console(const Settings& s)
    : quiet_(s.quiet),
      verbose_(s.verbose),
      json_(s.json),
      live_(terminal() && !s.quiet),
      color_(stderr_has_color() && !s.no_color) {}

void Console::result(std::string_view text) const {
  end_status();
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Trouble{Errc::failed, "the result could not be written", "stdout", ""};
  }
}

void Console::say(std::string_view text) const {
  if (quiet_) return;
  end_status();
  write_line(text);
}

void Console::detail(std::string_view text) const {
  if (verbose_) say(faint(text));
}

void Console::warn(std::string_view text) const { say("warning: " + std::string(text)); }

void Console::status(std::string_view text) const {
  if (!live_) return;
  const std::string line = "\r\033[K" + std::string(text);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  status_ = true;
}

void Console::end_status() const {
  if (status_) std::fputs("\r\033[K", stderr), std::fflush(stderr);
  status_ = false;
}

std::string Console::painted(const char* code, std::string_view text) const {
  if (!color_) return std::string(text);
  return std::string("\033[") + code + "m" + std::string(text) + "\033[0m";
}

}  // namespace espalier::tool
