// SPDX-License-Identifier: MIT
#pragma once
// The CPU. Where tests are compiled again and again, to see which faults they catch, the oracle stands in its place, in fp64
// whatever is asked for: without Eigen that takes half as long.
#if defined(ESPALIER_TEST_ORACLE_ONLY)
#include "oracle.hpp"
namespace espalier {
template <class>
using Cpu = test::Oracle<double>;
}
#else
#include <espalier/backend/cpu.hpp>
#endif
