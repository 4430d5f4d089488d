# SPDX-License-Identifier: MIT
# Each example is a program and a test: it runs to the end and returns 0.
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  set(target "example-${name}")
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  target_link_libraries(${target} PRIVATE espalier_precompiled)
  target_compile_definitions(${target} PRIVATE "ESPALIER_DEMO_DIR=\"${PROJECT_SOURCE_DIR}/models/demo\"")
  espalier_ours(${target})
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/examples/run/${name}")
  add_test(NAME "examples/${name}" COMMAND ${target} "${PROJECT_SOURCE_DIR}/models/demo" "${PROJECT_SOURCE_DIR}/models/demo/text/second.txt")
  set_tests_properties("examples/${name}" PROPERTIES
    LABELS example TIMEOUT 300 WORKING_DIRECTORY "${PROJECT_BINARY_DIR}/examples/run/${name}"
    ENVIRONMENT "OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;ESPALIER_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endforeach()
