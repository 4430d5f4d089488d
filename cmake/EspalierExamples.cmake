# SPDX-License-Identifier: MIT
# Each example is a program and a test: it runs to the end and returns 0. What it is given when it is tested is small.
set(test_data "${PROJECT_SOURCE_DIR}/tests/data")
set(given_gpt2_text "${test_data}/hf/gpt2" "${test_data}/examples/text.txt" "${test_data}/examples")
set(given_bert_pairs "${test_data}/hf/bert-classes" "${test_data}/examples/pairs.jsonl" "${test_data}/examples")
set(given_vit_images "${test_data}/hf/vit" "${test_data}/examples/images.npy" "${test_data}/examples/images.labels.npy")
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  set(target "example-${name}")
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  target_link_libraries(${target} PRIVATE espalier_precompiled)
  target_compile_definitions(${target} PRIVATE "ESPALIER_DEMO_DIR=\"${PROJECT_SOURCE_DIR}/models/demo\"")
  espalier_ours(${target})
  if(NOT name STREQUAL "prune")  # which trains for a while
    espalier_briefly(${target})
  endif()
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/examples/run/${name}")
  set(given "${PROJECT_SOURCE_DIR}/models/demo" "${PROJECT_SOURCE_DIR}/models/demo/text/second.txt")
  if(DEFINED given_${name})
    set(given ${given_${name}})
  endif()
  add_test(NAME "examples/${name}" COMMAND ${target} ${given})
  set_tests_properties("examples/${name}" PROPERTIES
    LABELS example TIMEOUT 300 WORKING_DIRECTORY "${PROJECT_BINARY_DIR}/examples/run/${name}"
    ENVIRONMENT "OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;ESPALIER_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
endforeach()
