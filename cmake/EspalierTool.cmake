# SPDX-License-Identifier: MIT
# The command line tool, hardened: it reads files that strangers made.
file(GLOB_RECURSE tool_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/*.cpp")
list(SORT tool_sources)
if(NOT tool_sources)
  message(STATUS "espalier: no tools/*.cpp yet, the tool is left out")
  return()
endif()

if(ESPALIER_WITH_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/engines/*.cu")
  list(APPEND tool_sources ${cuda_sources})
  list(FILTER tool_sources EXCLUDE REGEX "/without_cuda\\.cpp$")
else()
  list(FILTER tool_sources EXCLUDE REGEX "/with_cuda\\.cpp$")
endif()
# Engines take long: they begin first, and each is compiled by itself.
set(engines ${tool_sources})
list(FILTER engines INCLUDE REGEX "/engines/")
list(FILTER tool_sources EXCLUDE REGEX "/engines/")
list(PREPEND tool_sources ${engines})
set_source_files_properties(${engines} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

espalier_dependency(CLI11)
add_executable(espalier_tool ${tool_sources})
set_target_properties(espalier_tool PROPERTIES OUTPUT_NAME espalier RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}"
                                               POSITION_INDEPENDENT_CODE ON
                                               UNITY_BUILD ${ESPALIER_TOGETHER} UNITY_BUILD_BATCH_SIZE 20)
target_link_libraries(espalier_tool PRIVATE espalier_cpu espalier_precompiled CLI11::CLI11)
if(TARGET espalier_npy)
  target_link_libraries(espalier_tool PRIVATE espalier_npy)
endif()
target_include_directories(espalier_tool PRIVATE "${PROJECT_SOURCE_DIR}/tools")
# The demo's checkpoint: in the source tree, or beside the installed tool.
target_compile_definitions(espalier_tool PRIVATE
  "ESPALIER_DEMO_DIR=\"${PROJECT_SOURCE_DIR}/models/demo\""
  "ESPALIER_DEMO_INSTALLED=\"../${CMAKE_INSTALL_DATADIR}/espalier/demo\"")
espalier_ours(espalier_tool)
espalier_briefly(espalier_tool)
if(ESPALIER_WITH_CUDA)
  espalier_for_devices(espalier_tool)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT ESPALIER_SANITIZE)
  target_compile_definitions(espalier_tool PRIVATE _GLIBCXX_ASSERTIONS)
  set(hardened -fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND hardened -fcf-protection)
  endif()
  if(NOT ESPALIER_BUILD_TESTS)  # nothing is to be had without optimisation
    list(APPEND hardened "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
  endif()
  target_compile_options(espalier_tool PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${hardened}>")
  target_link_options(espalier_tool PRIVATE "LINKER:-z,relro,-z,now,-z,noexecstack")
endif()
