# SPDX-License-Identifier: MIT
include(FetchContent)
function(espalier_dependency name)
  find_package(${name} CONFIG REQUIRED GLOBAL)
endfunction()
