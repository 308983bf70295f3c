# What the tests of installing, of packages and of add_subdirectory share.

set(consumer "${CMAKE_CURRENT_LIST_DIR}/consumer")

# run(COMMAND...): the command must succeed; what it prints is in `output`.
function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\n${output}\nfailed: ${result}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

# consume(FOLDER OPTIONS...): configures the consumer project in the folder, builds it, and runs its programs.
function(consume folder)
    run("${CMAKE_COMMAND}" -S "${consumer}" -B "${folder}" -G "${generator}" "-DCMAKE_BUILD_TYPE=${config}"
        "-DCMAKE_C_COMPILER=${c_compiler}" "-DCMAKE_CXX_COMPILER=${cxx_compiler}" ${ARGN})
    run("${CMAKE_COMMAND}" --build "${folder}" --config "${config}")
    run("${CMAKE_CTEST_COMMAND}" --test-dir "${folder}" --output-on-failure -C "${config}")
endfunction()

# build_for_usr(FOLDER OPTIONS...): the same build, but configured for a package of the system, with Debian's folder for libraries.
function(build_for_usr folder)
    run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/.." -B "${folder}" -G "${generator}"
        "-DCMAKE_BUILD_TYPE=${config}" "-DCMAKE_C_COMPILER=${c_compiler}" "-DCMAKE_CXX_COMPILER=${cxx_compiler}"
        -DCMAKE_INSTALL_PREFIX=/usr "-DCMAKE_INSTALL_LIBDIR=${usr_libdir}" -DBUILD_TESTING=OFF
        "-DBUILD_SHARED_LIBS=${shared}" ${build_options} ${ARGN})
    run("${CMAKE_COMMAND}" --build "${folder}" --config "${config}")
endfunction()
