// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "run_tool.hpp"

using namespace tooltest;

TEST_CASE("help and version go to stdout and end with 0; nothing at all is a usage error") {
  for (const char* verb : {"demo", "info", "plan", "train", "prune", "merge", "eval", "export", "doctor"}) {
    const Result r = run({verb, "--help"});
    CHECK(r.code == 0);
    CHECK(r.prints(std::string("usage: espalier ") + verb));
    CHECK(r.prints("examples:"));
    CHECK(r.err.empty());
  }
  CHECK(run({"--help"}).prints("start here:"));
  CHECK(run({"help", "prune"}).prints("--sparsity"));
  CHECK(run({"--version"}).out.starts_with("espalier "));
  const Result r = run({});
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK(r.says("error: a verb is missing"));
}

TEST_CASE("a mistyped verb, option, choice or key is answered with the nearest name") {
  const Scratch scratch;
  const auto refused = [](const std::vector<std::string>& arguments, const std::string& hint) {
    const Result r = run(arguments);
    CAPTURE(r.err);
    CHECK(r.code == 2);
    CHECK(r.out.empty());
    CHECK(r.says("error: "));
    CHECK(r.says("hint: did you mean " + hint));
  };
  refused({"prnue"}, "'espalier prune'");
  refused({"evla", "x"}, "'espalier eval'");
  refused({"prune", "x", "--sparsty", "0.5"}, "'--sparsity'");
  refused({"train", "x", "--lora_alhpa=3"}, "'--lora_alpha'");
  refused({"prune", "x", "--criterion", "magnitud"}, "'magnitude'");
  write(scratch / "c.toml", "sparsty = 0.5\n");
  refused({"prune", "x", "-c", scratch / "c.toml"}, "'sparsity'");
  write(scratch / "d.toml", "[prun]\nsparsity = 0.5\n");
  refused({"prune", "x", "-c", scratch / "d.toml"}, "[prune]");
}

TEST_CASE("an option of another verb, a second model and a number that is none are usage errors") {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"eval", "x", "--sparsity", "0.5"},
                                             {"eval", "x", "y"},
                                             {"prune", "x", "--rank", "eight"},
                                             {"prune", "x", "--rank", "8.5"},
                                             {"prune", "x", "--sparsity", "50"},
                                             {"prune", "x", "--sparsity", "nan"},
                                             {"prune", "x", "--rank"},
                                             {"prune", "x", "--warmup", "0.7", "--cooldown", "0.7"},
                                             {"prune", "x", "--sparsity", "0.5", "--target-params", "1M"},
                                             {"prune", "x", "--damp", "0.1"},
                                             {"prune", "x", "--criterion", "movement", "--ema", "0.5"},
                                             {"prune", "x", "--criterion", "wanda", "--input-decay", "2"},
                                             {"prune", "x", "--criterion", "obs", "--update-weights", "--revival", "ema"},
                                             {"prune", "x", "--exclude-layers", "first", "-d", "x", "-o", "y"},
                                             {"--sparsity", "0.5"},
                                             {"train"},
                                             {"eval", checkpoint()}}) {
    const Result r = run(arguments);
    CAPTURE(arguments.front());
    CAPTURE(r.err);
    CHECK((r.code == 2 || (r.code == 3 && arguments[1] == "x")));
    CHECK(r.out.empty());
    CHECK(r.says("error: "));
  }
}

TEST_CASE("the command line wins over the environment, that over the file, that over the default") {
  const Scratch scratch;
  write(scratch / "c.toml",
        "# general\nrank = 3\nalpha = 5\nlr = 1e-2\ntargets = [\"q_proj\",\n  \"v_proj\"]\n[prune]\nalpha = "
        "7\n[train]\nalpha = 9\n");
  const How how{{{"ESPALIER_RANK", "4"}, {"ESPALIER_LR", "2e-2"}, {"ESPALIER_LR_SCHEDULE", "linear"}}, {}, {}};
  const Result r = run({"prune", "m", "-c", scratch / "c.toml", "--lr", "3e-2", "--print-config"}, how);
  CHECK(r.code == 0);
  CHECK(r.prints("\nrank = 4 "));   // environment over file
  CHECK(r.prints("\nalpha = 7 "));  // a verb's own table over the general part
  CHECK(r.prints("\nlr = 0.03 "));  // command line over environment
  CHECK(r.prints("\nlr-schedule = \"linear\""));
  CHECK(r.prints("\ntargets = [\"q_proj\", \"v_proj\"]"));
  CHECK(r.prints("\nema = 0.9 "));  // default
  CHECK(run({"train", "m", "-c", scratch / "c.toml", "--print-config"}).prints("\nalpha = 9 "));
}

TEST_CASE("what --print-config says is a config file that says the same") {
  const Scratch scratch;
  const Result first = run({"prune", "m", "--rank", "5", "--targets", "q_proj,o_proj", "--exclude-layers", "0,-1",
                            "--rslora", "--data", "a \"b\"\\c", "--print-config"});
  CHECK(first.code == 0);
  write(scratch / "c.toml", first.out);
  const Result second = run({"prune", "m", "-c", scratch / "c.toml", "--print-config"});
  CHECK(second.code == 0);
  CHECK(second.out == first.out);
  CHECK(second.prints("exclude-layers = [\"0\", \"-1\"]"));
}

TEST_CASE("PEFT's spellings and both separators are understood") {
  const Result r = run({"train", "m", "--lora_alpha", "32", "--lora-dropout=0.1", "--target_modules", "q_proj",
                        "--use_rslora", "-r", "2", "--learning_rate", "1e-5", "--print-config"});
  CHECK(r.code == 0);
  for (const char* line : {"\nalpha = 32 ", "\ndropout = 0.1 ", "\ntargets = [\"q_proj\"]", "\nrslora = true",
                           "\nrank = 2 ", "\nlr = 1e-05 "})
    CHECK(r.prints(line));
}

TEST_CASE("a config file that is not one is refused with its line") {
  const Scratch scratch;
  for (const char* text :
       {"rank\n", "rank = \n", "rank = 3 4\n", "rank = [1, 2\n", "rank = 1\nrank = 2\n", "rank = \"3\n", "= 3\n",
        "lr = fast\n", "[[prune]]\n", "alpha = [1]\n", "print-config = true\n"}) {
    write(scratch / "c.toml", std::string("# one\n") + text);
    const Result r = run({"prune", "m", "-c", scratch / "c.toml", "--print-config"});
    CAPTURE(text);
    CAPTURE(r.err);
    CHECK(r.code == 2);
    CHECK(r.says("c.toml, line "));
  }
  CHECK(run({"prune", "m", "-c", scratch / "missing.toml", "--print-config"}).code == 3);
}

TEST_CASE("threads that somebody has bound to cores get all of them") {
  const auto cores = [](const How& how) { return run({"doctor", "--json"}, how).json().at("cores").get<int>(); };
  CHECK(cores({.environment = {{"OMP_PROC_BIND", "true"}, {"OMP_PLACES", "cores"}}}) == cores({}));
}
