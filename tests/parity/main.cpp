// SPDX-License-Identifier: MIT
#include "parity/judge.hpp"

int main(int count, char** words) { return espalier::test::parity::run_all(count, words); }
