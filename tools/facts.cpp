// SPDX-License-Identifier: MIT
#include "facts.hpp"

#include "numbers.hpp"

namespace espalier::tool {

std::string trainable_line(Index trainable, Index all) {
  return "trainable params: " + with_commas(trainable) + " || all params: " + with_commas(all) +
         " || trainable%: " + fixed(all == 0 ? 0 : 100 * double(trainable) / double(all), 4);
}

}  // namespace espalier::tool
