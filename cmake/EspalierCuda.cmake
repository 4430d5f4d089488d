# SPDX-License-Identifier: MIT
# espalier::cuda: backend/cuda.hpp with cuBLASLt, where there is a CUDA toolkit. Nothing is ever required because of it.
# A program is compiled by nvcc; the standard and the flag that kernels need come with espalier::espalier.
set(ESPALIER_CUDA AUTO CACHE STRING "espalier::cuda and our programs for it: AUTO (where a toolkit is found), ON (demand it), OFF")
set_property(CACHE ESPALIER_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ESPALIER_CUDA_ARCHITECTURES "80;86;89;90" CACHE STRING "Compute capabilities that our own CUDA programs are compiled for")

set(ESPALIER_WITH_CUDA OFF)  # our own programs are compiled for devices
if(NOT ESPALIER_CUDA STREQUAL "AUTO" AND NOT ESPALIER_CUDA)
  return()
endif()
find_package(CUDAToolkit 12.0 QUIET)
if(NOT TARGET CUDA::cublasLt)
  if(NOT ESPALIER_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "espalier: ESPALIER_CUDA is ON, and no CUDA toolkit 12.0 or newer with cuBLASLt was found: put nvcc into "
                        "PATH, or name the toolkit in CUDAToolkit_ROOT, or -DESPALIER_CUDA=OFF")
  endif()
  return()
endif()

add_library(espalier_cuda INTERFACE)
add_library(espalier::cuda ALIAS espalier_cuda)
target_link_libraries(espalier_cuda INTERFACE espalier CUDA::cublasLt)

if(PROJECT_IS_TOP_LEVEL AND (ESPALIER_BUILD_TESTS OR ESPALIER_BUILD_TOOLS OR ESPALIER_BUILD_BENCHMARKS))
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "${ESPALIER_CUDA_ARCHITECTURES}")  # first: CMake's default is older than what nvcc 13 knows
  endif()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER "${CUDAToolkit_NVCC_EXECUTABLE}")
  endif()
  if(ESPALIER_CUDA STREQUAL "AUTO")
    include(CheckLanguage)
    check_language(CUDA)
  endif()
  if(CMAKE_CUDA_COMPILER OR NOT ESPALIER_CUDA STREQUAL "AUTO")
    enable_language(CUDA)
    set(ESPALIER_WITH_CUDA ON)
    message(STATUS "espalier: CUDA ${CUDAToolkit_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
  endif()
endif()

# espalier_for_devices(target): one of our programs that has .cu files. All of them together are the target cuda-programs.
if(ESPALIER_WITH_CUDA)
  add_custom_target(cuda-programs)
  function(espalier_for_devices target)
    target_link_libraries(${target} PRIVATE espalier_cuda CUDA::cudart)
    # All warnings: calls of host functions from device code among them.
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings>")
    add_dependencies(cuda-programs ${target})
  endfunction()
endif()

# The benchmark has no other needs than the library: it comes with the tests for devices and with the benchmarks.
if(ESPALIER_WITH_CUDA)
  add_executable(benchmark-cuda-step EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/benchmarks/cuda_step.cu")
  set_target_properties(benchmark-cuda-step PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/benchmarks")
  espalier_for_devices(benchmark-cuda-step)
endif()
