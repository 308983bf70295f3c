# Builds the consumer project with convlow as a part of it, through FetchContent's add_subdirectory, with what cargo has built already. Run by ctest,
# which sets the variables.

cmake_minimum_required(VERSION 3.20)

include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

file(REMOVE_RECURSE "${work}")
consume("${work}" "-DCONSUMER_CONVLOW_SOURCE=${CMAKE_CURRENT_LIST_DIR}/.." "-DBUILD_SHARED_LIBS=${shared}"
    ${build_options})

# The consumer's own tests and nothing of convlow's, and no installation that it did not ask for.
run("${CMAKE_CTEST_COMMAND}" --test-dir "${work}" --show-only -C "${config}")
if(NOT output MATCHES "Total Tests: 2\n")
    message(FATAL_ERROR "convlow adds tests to its parent project:\n${output}")
endif()
run("${CMAKE_COMMAND}" --install "${work}" --prefix "${work}/prefix" --config "${config}")
if(EXISTS "${work}/prefix")
    message(FATAL_ERROR "convlow installs itself with its parent project:\n${output}")
endif()
