// SPDX-License-Identifier: MIT
#pragma once
#include <string>
#include <string_view>

namespace espalier::tool {

struct Settings;

/// stdout carries the result, stderr everything else.
class Console {
 public:
  explicit Console(const Settings& settings);

  void result(std::string_view text) const;  ///< to stdout; a failed write is an error
  void say(std::string_view text) const;     ///< a line on stderr, unless --quiet
  void detail(std::string_view text) const;  ///< … only with --verbose
  void warn(std::string_view text) const;    ///< … unless --quiet, marked
  void status(std::string_view text) const;  ///< rewrites the last line of a terminal; nothing elsewhere
  void end_status() const;
  bool live() const { return live_; }  ///< stderr is a terminal that can rewrite a line
  bool quiet() const { return quiet_; }
  bool json() const { return json_; }
  std::string bold(std::string_view text) const { return painted("1", text); }
  std::string faint(std::string_view text) const { return painted("2", text); }
  std::string green(std::string_view text) const { return painted("32", text); }
  std::string red(std::string_view text) const { return painted("31", text); }

 private:
  std::string painted(const char* code, std::string_view text) const;
  bool quiet_, verbose_, json_, live_, color_;
  mutable bool status_ = false;
};

/// Whether an error may be painted: before settings are known.
bool stderr_has_color();

}  // namespace espalier::tool
