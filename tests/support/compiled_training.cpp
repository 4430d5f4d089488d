// SPDX-License-Identifier: MIT
#include "compiled_llama.hpp"
#define ESPALIER_TEST_TEMPLATE template
#include "compiled_training.hpp"
