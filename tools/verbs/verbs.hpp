// SPDX-License-Identifier: MIT
#pragma once
#include "../console.hpp"
#include "../settings.hpp"

namespace espalier::tool {

// Each verb in its own file; the exit code comes back.
int demo(const Request&, const Console&);
int info(const Request&, const Console&);
int plan(const Request&, const Console&);
int compare(const Request&, const Console&);
int plan_weights(const Request&, const Console&);  // of plan, where single weights leave
int train(const Request&, const Console&);
int prune(const Request&, const Console&);
int merge(const Request&, const Console&);
int eval(const Request&, const Console&);
int export_model(const Request&, const Console&);
int doctor(const Request&, const Console&);

}  // namespace espalier::tool
