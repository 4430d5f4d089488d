// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>

#include "checks.hpp"
#include "command_line.hpp"
#include "console.hpp"
#include "interrupt.hpp"
#include "options_table.hpp"
#include "trouble.hpp"
#include "verbs/verbs.hpp"
#include "waiting.hpp"

namespace espalier::tool {
namespace {

int run(const Request& request) {
  const Console console(request.settings);
  if (request.settings.print_config) {
    console.result(config_text(request));
    return 0;
  }
  check(request);
  switch (request.verb) {
    case Verb::demo:
      return demo(request, console);
    case Verb::info:
      return info(request, console);
    case Verb::plan:
      return plan(request, console);
    case Verb::compare:
      return compare(request, console);
    case Verb::train:
      return train(request, console);
    case Verb::prune:
      return prune(request, console);
    case Verb::merge:
      return merge(request, console);
    case Verb::eval:
      return eval(request, console);
    case Verb::export_:
      return export_model(request, console);
    case Verb::doctor:
      return doctor(request, console);
  }
  return 1;
}

void report(const Trouble& trouble) {
  const bool color = stderr_has_color();
  std::string text = (color ? "\r\033[K\033[1;31merror:\033[0m " : "error: ") + trouble.what + "\n";
  if (!trouble.where.empty()) text += "  in " + trouble.where + "\n";
  if (!trouble.hint.empty()) text += "  hint: " + trouble.hint + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

/// Nothing that a file or a person says may end in abort().
int guarded(int argc, char** argv) {
  try {
    const auto understood = understand(argc, argv);
    if (const auto* answer = std::get_if<Answer>(&understood)) {
      std::fputs(answer->text.c_str(), stdout);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
    return run(std::get<Request>(understood));
  } catch (...) {
    const Trouble trouble = current_trouble();
    report(trouble);
    return exit_code(trouble.code);
  }
}

}  // namespace
}  // namespace espalier::tool

int main(int argc, char** argv) {
  espalier::tool::wait_briefly(argv);
  espalier::tool::ignore_broken_pipes();
  return espalier::tool::guarded(argc, argv);
}
