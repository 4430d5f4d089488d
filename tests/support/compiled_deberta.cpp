// SPDX-License-Identifier: MIT
#define ESPALIER_TEST_TEMPLATE template
#include "compiled_deberta.hpp"
