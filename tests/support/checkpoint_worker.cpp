// SPDX-License-Identifier: MIT
#include "checkpoint_worker.hpp"

#include <csignal>
#include <cstdlib>
#include <espalier/backend/cpu.hpp>
#include <espalier/prune/importance/taylor.hpp>
#include <espalier/prune/mask.hpp>
#include <espalier/prune/pruner.hpp>
#include <espalier/prune/schedule.hpp>
#include <espalier/train/trainer.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiled_training.hpp"
#include "tiny_model.hpp"

namespace espalier::test {

void work(const std::string& folder, void (*armed)(bool)) {
  using Device = Cpu<float>;
  Device device;
  TinyModel<Device> model(device, {.rank = 2, .dropout = 0.1, .targets = {"q_proj", "down_proj"}});
  AdamW optimizer(model);
  Pruner pruner(model, TaylorImportance{}, EMAMask{}, CubicSchedule{.begin = 0, .end = 4, .sparsity = 0.5},
                PrunerOptions{.every = 2});
  Trainer trainer(model, optimizer, pruner,
                  tiny_text(500).batches({.size = 1, .length = 12, .steps = kWorkerSteps, .accumulate = 2}),
                  {.rate = {.peak = 1e-2},
                   .compact = Compaction::live,
                   .checkpoints = folder + "/run",
                   .checkpoint_every = 2});
  try {
    armed(true);
    const auto resumed = trainer.resume();
    trainer.run();
    armed(false);
    spill(folder + "/resumed", std::to_string(resumed ? resumed->step : 0));
    spill(folder + "/result", hash_of_training(model));
  } catch (const std::exception& error) {
    armed(false);
    spill(folder + "/error", error.what());
    std::_Exit(3);
  }
  std::_Exit(0);
}

int run_worker(const std::string& folder, const std::string& fault, std::vector<std::string> before) {
  std::vector<std::string> words = std::move(before);
  words.insert(words.end(), {"/proc/self/exe", "--no-skip", "-tc=worker"});
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  self[n < 0 ? 0 : n] = '\0';
  words[words.size() - 3] = self;
  std::vector<char*> arguments;
  for (auto& w : words) arguments.push_back(w.data());
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("ESPALIER_WORKER", folder.c_str(), 1);
    ::setenv("ESPALIER_FAULT", fault.c_str(), 1);
    ::setenv("OMP_NUM_THREADS", "1", 1);
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 1), ::dup2(nowhere, 2);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

Index latest(const std::string& folder) {
  const std::string name = slurp(folder + "/run/LATEST");
  return name.empty() ? 0 : std::atoi(name.c_str() + std::string("checkpoint-").size());
}

std::string recovers(const std::string& folder, const std::string& expected) {
  const Index known = latest(folder);
  const int status = run_worker(folder);
  if (exit_code(status) != 0) return format("the run after it failed ({}): {}", status, slurp(folder + "/error"));
  if (std::atoi(slurp(folder + "/resumed").c_str()) < known) return "a finished checkpoint was not used";
  if (slurp(folder + "/result") != expected) return "the bits differ";
  if (latest(folder) != kWorkerSteps) return "LATEST does not name the last checkpoint";
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/run"))
    entries += entry.path().filename().string().find(".tmp-") != std::string::npos ? 100 : 1;
  return entries == 3 ? "" : "something was left over";  // two checkpoints and LATEST
}

}  // namespace espalier::test
