# SPDX-License-Identifier: MIT
# The library: headers and what each part of them needs. Nothing here sets a flag for its users.
#
#   espalier::espalier      everything that knows no device; needs only the standard library
#   espalier::cpu           + backend/cpu*.hpp (Eigen, OpenMP, threads)
#   espalier::cuda          + backend/cuda*.hpp (a CUDA toolkit): EspalierCuda.cmake
#   espalier::npy           + io/npy.hpp and interop/ (xtensor, Eigen)
#   espalier::precompiled   optional: the GEMM instantiated once, so that programs compile faster

set(include_dir "${PROJECT_SOURCE_DIR}/include")
file(GLOB_RECURSE all_headers CONFIGURE_DEPENDS "${include_dir}/espalier/*.hpp")
list(SORT all_headers)
set(core_headers ${all_headers})
list(FILTER core_headers EXCLUDE REGEX "/backend/(cpu|cuda|thrust)[^/]*\\.hpp$|/interop/|/io/npy[^/]*\\.hpp$")
set(cpu_headers ${all_headers})
list(FILTER cpu_headers INCLUDE REGEX "/backend/cpu[^/]*\\.hpp$")
set(npy_headers ${all_headers})
list(FILTER npy_headers INCLUDE REGEX "/interop/|/io/npy[^/]*\\.hpp$")
set(device_headers ${all_headers})  # compile only under nvcc or with Thrust: installed, not verified here
list(FILTER device_headers INCLUDE REGEX "/backend/(cuda|thrust)[^/]*\\.hpp$")

add_library(espalier INTERFACE)
add_library(espalier::espalier ALIAS espalier)
target_compile_features(espalier INTERFACE cxx_std_20)
target_sources(espalier INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${core_headers})
if(device_headers)
  target_sources(espalier INTERFACE FILE_SET device TYPE HEADERS BASE_DIRS "${include_dir}" FILES ${device_headers})
endif()
# nvcc does not take its language standard from the features of CMake 3.25.
# Kernels call std::bit_cast, a constexpr function of the standard library, on the device.
target_compile_options(espalier INTERFACE "$<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-std=c++20;--expt-relaxed-constexpr>")

espalier_dependency(Eigen3)
find_package(Threads REQUIRED)
add_library(espalier_cpu INTERFACE)
add_library(espalier::cpu ALIAS espalier_cpu)
set_target_properties(espalier_cpu PROPERTIES EXPORT_NAME cpu)
target_link_libraries(espalier_cpu INTERFACE espalier Eigen3::Eigen Threads::Threads)
target_sources(espalier_cpu INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${cpu_headers})
set(ESPALIER_WITH_OPENMP OFF)
if(ESPALIER_OPENMP)
  find_package(OpenMP COMPONENTS CXX)
  if(OpenMP_CXX_FOUND)
    set(ESPALIER_WITH_OPENMP ON)
    target_link_libraries(espalier_cpu INTERFACE OpenMP::OpenMP_CXX)
  endif()
endif()

set(espalier_libraries espalier espalier_cpu)
if(ESPALIER_NPY)
  espalier_dependency(xtensor)
  add_library(espalier_npy INTERFACE)
  add_library(espalier::npy ALIAS espalier_npy)
  set_target_properties(espalier_npy PROPERTIES EXPORT_NAME npy)
  target_link_libraries(espalier_npy INTERFACE espalier xtensor Eigen3::Eigen)
  target_sources(espalier_npy INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${npy_headers})
  list(APPEND espalier_libraries espalier_npy)
endif()

# Every header compiles alone: the target all_verify_interface_header_sets.
if(PROJECT_IS_TOP_LEVEL AND ESPALIER_BUILD_TESTS)
  set_target_properties(${espalier_libraries} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON
                                                         INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
endif()

# A static library has to be built with its user's flags, so it is for builds that contain us, and is not installed.
# An empty interface stands in until the source exists: users link the same name.
if(EXISTS "${PROJECT_SOURCE_DIR}/src/precompiled.cpp")
  add_library(espalier_precompiled STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/src/precompiled.cpp")
  target_link_libraries(espalier_precompiled PUBLIC espalier_cpu)
  target_compile_definitions(espalier_precompiled PUBLIC ESPALIER_PRECOMPILED)
else()
  add_library(espalier_precompiled INTERFACE)
  target_link_libraries(espalier_precompiled INTERFACE espalier_cpu)
endif()
add_library(espalier::precompiled ALIAS espalier_precompiled)
