// SPDX-License-Identifier: MIT
// The only file that includes CLI11: what it parses are texts by name; what they mean is options_table.cpp's.
#include "command_line.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <espalier/core/config.hpp>

#include "layers.hpp"
#include "nearest.hpp"
#include "options_table.hpp"
#include "trouble.hpp"

namespace espalier::tool {
namespace {

/// What CLI11 found for one verb: texts by option, and which options were there.
struct Found {
  CLI::App* app = nullptr;
  std::string model;
  std::map<std::string, std::vector<std::string>> texts;
  std::map<std::string, bool> flags;
  std::map<std::string, CLI::Option*> options;
};

std::string overview() {
  std::string out = "espalier " ESPALIER_VERSION_STRING
                    ": fine-tunes a transformer with low-rank adapters and prunes it in the same run\n\n"
                    "usage: espalier VERB [MODEL] [options]\n\n";
  for (const VerbWords& w : verbs()) out += "  " + w.name + std::string(10 - w.name.size(), ' ') + w.summary + "\n";
  return out +
         "\nstart here:\n"
         "  espalier demo                                       a small transformer, pruned to 50 % in under a minute\n"
         "  espalier plan MODEL --sparsity 0.5                  what would leave\n"
         "  espalier prune MODEL -d train.bin -o small          fine-tune and prune; writes small/report.html\n"
         "  espalier eval small -d val.bin                      perplexity and latency\n\n"
         "MODEL is a Hugging Face directory of the Llama family: config.json and safetensors.\n"
         "Every option is also a line of a config file (-c FILE) and a variable ESPALIER_NAME;\n"
         "the command line wins over the variable, the variable over the file.\n\n"
         "espalier VERB --help says more.  Exit codes: 0 done, 1 failed, 2 usage, 3 bad or unsupported input,\n"
         "4 numerical, 5 resources, 130 interrupted (with a checkpoint).\n";
}

void add_options(Found& found, const VerbWords& w, const Settings& defaults) {
  CLI::App& app = *found.app;
  if (!w.model.empty()) app.add_option("model", found.model, "")->option_text(w.model)->group("");
  for (const Option& o : options()) {
    if (!o.serves(w.verb)) continue;
    std::string spellings, shown;
    for (const std::string& a : o.aliases) {
      spellings += a + ",";
      if (a.size() == 2) shown = a + ",";
    }
    spellings += "--" + o.name, shown += "--" + o.name;
    std::string help = o.help;
    if (!o.choices.empty()) {
      help += ":";
      for (const std::string& c : o.choices) help += (&c == &o.choices.front() ? " " : "|") + c;
    }
    if (const std::string d = text_of(o, defaults); !o.is_flag() && !d.empty()) help += " [" + d + "]";
    CLI::Option* option;
    if (o.is_flag()) {
      option =
          app.add_flag(spellings, found.flags[o.name], help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      option = app.add_option(spellings, found.texts[o.name], help)->option_text(o.value);
      option->type_size(1)->allow_extra_args(false);
      if (o.optional_value) {
        option->expected(0, 1);
      } else {
        option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(false);
      }
    }
    option->group(o.group);
    found.options[o.name] = option;
  }
  app.set_help_flag("-h,--help", "this text")->group("Output");
  app.footer("\nexamples:\n" + w.examples);
}

/// CLI11 prints every alias; a reader wants two names.
class ShortNames : public CLI::Formatter {
 public:
  explicit ShortNames(const VerbWords& w) : words_(w) { column_width(30); }
  std::string make_usage(const CLI::App*, std::string) const override {
    return "usage: espalier " + words_.name + (words_.model.empty() ? "" : " " + words_.model) + " [options]\n";
  }
  std::string make_description(const CLI::App*) const override { return words_.description + "\n\n"; }
  std::string make_positionals(const CLI::App*) const override { return ""; }
  std::string make_option_name(const CLI::Option* o, bool) const override {
    for (const Option& known : options()) {
      const auto& longs = o->get_lnames();
      if (std::find(longs.begin(), longs.end(), known.name) == longs.end()) continue;
      for (const std::string& a : known.aliases)
        if (a.size() == 2) return a + ", --" + known.name;
      return "    --" + known.name;
    }
    return "-h, --help";
  }
  std::string make_option_opts(const CLI::Option* o) const override {
    const std::string text = o->get_option_text();
    return text.empty() ? "" : " " + text;
  }

 private:
  const VerbWords& words_;
};

const VerbWords* verb_called(std::string_view name) {
  for (const VerbWords& w : verbs())
    if (w.name == name) return &w;
  return nullptr;
}

[[noreturn]] void unknown_verb(const std::string& typed) {
  std::vector<std::string> names;
  for (const VerbWords& w : verbs()) names.push_back(w.name);
  const std::string near = nearest(typed, names);
  throw Trouble{Errc::usage, "unknown verb '" + typed + "'", "",
                near.empty() ? "espalier --help lists the verbs" : "did you mean 'espalier " + near + "'?"};
}

[[noreturn]] void unknown_option(const std::string& typed, const VerbWords& w) {
  const std::string bare = typed.substr(0, typed.find('='));
  std::vector<std::string> names;
  for (const Option& o : options()) {
    if (!o.serves(w.verb)) continue;
    names.push_back("--" + o.name);
    for (const std::string& a : o.aliases)
      if (a.size() > 2) names.push_back(a);
  }
  if (bare.starts_with("-")) {
    if (const Option* other = find_option(bare); other != nullptr && !other->serves(w.verb)) {
      throw Trouble{Errc::usage, "'" + bare + "' is not an option of " + w.name, "",
                    "espalier " + w.name + " --help lists its options"};
    }
    const std::string near = nearest(bare, names);
    throw Trouble{Errc::usage, "unknown option '" + bare + "'", "",
                  near.empty() ? "espalier " + w.name + " --help lists the options" : "did you mean '" + near + "'?"};
  }
  throw Trouble{Errc::usage, "'" + typed + "' is one argument too many", "",
                "espalier " + w.name + " --help shows the order"};
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_./=,:+%@") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::variant<Request, Answer> understand(int argc, const char* const* argv) {
  if (argc < 2)
    throw Trouble{Errc::usage, "a verb is missing", "",
                  "espalier --help lists them; espalier demo shows what this does"};
  const std::string first = argv[1];
  if (first == "--help" || first == "-h" || first == "help") {
    if (argc == 2) return Answer{overview()};
    const char* const asked[] = {argv[0], argv[2], "--help"};
    return understand(3, asked);
  }
  if (first == "--version" || first == "version") return Answer{"espalier " ESPALIER_VERSION_STRING "\n"};
  const VerbWords* const words = verb_called(first);
  if (words == nullptr) {
    if (first.starts_with("-"))
      throw Trouble{Errc::usage, "'" + first + "' stands before the verb", "", "espalier VERB [MODEL] [options]"};
    unknown_verb(first);
  }

  Request request;
  request.verb = words->verb;
  request.settings = defaults_of(words->verb);
  request.command = "espalier";
  for (int i = 1; i < argc; ++i) request.command += " " + quoted(argv[i]);

  CLI::App app;
  Found found;
  found.app = &app;
  app.formatter(std::make_shared<ShortNames>(*words));
  app.allow_extras();
  add_options(found, *words, request.settings);
  std::vector<std::string> reversed(argv + 2, argv + argc);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help();
    for (std::size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    return Answer{text};
  } catch (const CLI::Error& e) {  // CLI11's own exit codes all mean: usage
    throw Trouble{Errc::usage, e.what(), "", "espalier " + words->name + " --help shows what is expected"};
  }
  if (const auto extras = app.remaining(); !extras.empty()) unknown_option(extras.front(), *words);

  if (!found.model.empty()) request.settings.model = found.model, request.origin["model"] = Origin::command_line;
  Layer typed{Origin::command_line, "", {}};
  for (const auto& [name, option] : found.options) {
    if (option->count() == 0) continue;
    std::vector<std::string> texts = find_option(name)->is_flag()
                                         ? std::vector<std::string>{found.flags[name] ? "true" : "false"}
                                         : found.texts[name];
    if (find_option(name)->optional_value && (texts.empty() || texts.back() == "{}" || texts.back().empty()))
      texts = {"."};
    typed.values.push_back({name, texts, "--" + name});
  }
  resolve(request, typed);
  return request;
}

std::string config_text(const Request& request) {
  const VerbWords& w = words_of(request.verb);
  std::string out = "# espalier " + w.name + " -c FILE\n";
  std::string group;
  for (const Option& o : options()) {
    if (!o.serves(request.verb) || o.name == "print-config" || o.name == "config") continue;
    if (o.group != group) group = o.group, out += "\n# " + group + "\n";
    const std::string text = text_of(o, request.settings);
    std::string value = text;
    if (o.is_list()) {
      value = "[";
      for (std::size_t at = 0; !text.empty() && at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        value += (at > 0 ? ", " : "") + toml_quoted(text.substr(at, comma - at));
        at = comma + 1;
      }
      value += "]";
    } else if (o.is_text()) {
      value = toml_quoted(text);
    }
    const bool idle = o.is_text() && text.empty();
    std::string line = (idle ? "# " : "") + o.name + " = " + value;
    if (line.size() < 36) line.append(36 - line.size(), ' ');
    out += line + "  # " + o.help + "\n";
  }
  return out;
}

}  // namespace espalier::tool
