// SPDX-License-Identifier: MIT
#pragma once
// What is done with whole models.
#include "parity/guard.hpp"
#include "parity/importance.hpp"
#include "parity/memory.hpp"
#include "parity/models.hpp"
#include "parity/replay.hpp"
#include "parity/storage.hpp"
#include "parity/training.hpp"

namespace espalier::test::parity {

template <class Device>
void runs(Judge& judge) {
  judge.group("models", &models<Device>);
  judge.group("importance", &importance<Device>);
  judge.group("training", &training<Device>);
  judge.group("storage", &storage<Device>);
  judge.group("memory", &memory<Device>);
  judge.group("guard", &guard<Device>);
  judge.group("replay", &replay<Device>);
}

}  // namespace espalier::test::parity
