// SPDX-License-Identifier: MIT
// Linked into every test: a function or variable in a header that is not inline is then defined twice, and the link fails.
#include "all_headers.hpp"
