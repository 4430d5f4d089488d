# SPDX-License-Identifier: MIT
# What our own executables are built with. Users of the library never see any of it.
include(CheckCXXCompilerFlag)

add_library(espalier_flags INTERFACE)
target_compile_options(espalier_flags INTERFACE
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>")
# g++ 12 warns falsely about std::string (its bug 105651) and about vectors inside a std::variant.
target_compile_options(espalier_flags INTERFACE
  "$<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict;-Wno-maybe-uninitialized>")
# g++ looks for memory that it could give back, again and again, from 128 MB on: a seventh of what templates take.
target_compile_options(espalier_flags INTERFACE "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:--param=ggc-min-heapsize=1048576>")
if(ESPALIER_WERROR)
  target_compile_options(espalier_flags INTERFACE "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Werror>")
endif()
if(ESPALIER_ARCH)
  string(MAKE_C_IDENTIFIER "ESPALIER_HAS_MARCH_${ESPALIER_ARCH}" has_arch)
  check_cxx_compiler_flag("-march=${ESPALIER_ARCH}" ${has_arch})
  if(${has_arch})
    target_compile_options(espalier_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-march=${ESPALIER_ARCH}>")
  endif()
endif()
if(ESPALIER_SANITIZE)
  target_compile_options(espalier_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ESPALIER_SANITIZE};-fno-omit-frame-pointer;-g1>")
  if(ESPALIER_SANITIZE MATCHES "undefined")
    target_compile_options(espalier_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=undefined>")
  endif()
  target_link_options(espalier_flags INTERFACE "-fsanitize=${ESPALIER_SANITIZE}")
endif()

function(espalier_ours target)
  target_link_libraries(${target} PRIVATE espalier_flags)
endfunction()

# Where tests are built, for what computes little in them: half as long to compile.
function(espalier_briefly target)
  if(ESPALIER_BUILD_TESTS AND CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" AND NOT ESPALIER_SANITIZE)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-O0>")
  endif()
endfunction()

get_target_property(precompiled_kind espalier_precompiled TYPE)
if(precompiled_kind STREQUAL "STATIC_LIBRARY")
  espalier_ours(espalier_precompiled)
endif()
