# SPDX-License-Identifier: MIT
# Benchmarks are built for the machine they run on: x86-64-v3 halves the peak where AVX-512 is there.
file(GLOB benchmark_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/benchmarks/*.cpp")
if(NOT benchmark_sources)
  message(STATUS "espalier: no benchmarks/*.cpp yet")
  return()
endif()
find_package(benchmark CONFIG QUIET)
if(NOT TARGET benchmark::benchmark)
  message(FATAL_ERROR "espalier: the benchmarks need Google Benchmark: apt-get install libbenchmark-dev, "
                      "or -DESPALIER_BUILD_BENCHMARKS=OFF")
endif()
foreach(source IN LISTS benchmark_sources)
  cmake_path(GET source STEM name)
  set(target "benchmark-${name}")
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/benchmarks")
  # Not espalier::precompiled, which is built for ESPALIER_ARCH.
  target_link_libraries(${target} PRIVATE espalier_cpu benchmark::benchmark)
  target_compile_options(${target} PRIVATE -march=native "$<$<NOT:$<CONFIG:Debug>>:-O3>")
endforeach()
