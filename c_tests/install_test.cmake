# Installs convlow, and uses it as other projects do, in C and C++: through find_package and through pkg-config,
# shared and static; first in a tree that was moved, then in one that is staged for /usr with Debian's folders. The example of
# training is built with the first.
# Run by ctest, which sets the variables.

cmake_minimum_required(VERSION 3.20)

include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

# check_link(FILE TARGET): a symbolic link to a file beside it.
function(check_link file target)
    if(shared)
        file(READ_SYMLINK "${file}" found)
        if(NOT found STREQUAL target)
            message(FATAL_ERROR "${file} is a link to ${found}, not to ${target}")
        endif()
    elseif(EXISTS "${file}")
        message(FATAL_ERROR "${file} was installed, but BUILD_SHARED_LIBS is OFF")
    endif()
endfunction()

# use_installed(PREFIX LIBDIR FOLDER): everything that a project may do with the tree, in the folder.
function(use_installed prefix libdir folder)
    foreach(file include/convlow.h include/convlow.hpp "${libdir}/libconvlow.a" "${libdir}/pkgconfig/convlow.pc")
        if(NOT EXISTS "${prefix}/${file}")
            message(FATAL_ERROR "${file} was not installed")
        endif()
    endforeach()
    check_link("${prefix}/${libdir}/libconvlow.so" "${soname}")
    check_link("${prefix}/${libdir}/${soname}" "${shared_name}")

    foreach(library convlow convlow_static)
        consume("${folder}/${library}" "-DCMAKE_PREFIX_PATH=${prefix}" "-DCONSUMER_LIBRARY=convlow::${library}")
    endforeach()
    if(pkg_config)
        set(ENV{PKG_CONFIG_PATH} "${prefix}/${libdir}/pkgconfig")
        set(ENV{LD_LIBRARY_PATH} "${prefix}/${libdir}")
        consume_through_pkg_config("${folder}/shared_through_pkg_config" convlow --libs)
        unset(ENV{LD_LIBRARY_PATH})
        # Where both libraries lie side by side the linker prefers the shared one, so the static one is named here.
        consume_through_pkg_config("${folder}/static_through_pkg_config" :libconvlow.a --libs --static)
    else()
        message(STATUS "no pkg-config here, so it was not tested")
    endif()
endfunction()

# consume_through_pkg_config(FOLDER LIBRARY ARGUMENTS...): builds the consumer's programs with what pkg-config
# answers to the arguments, and runs them.
function(consume_through_pkg_config folder library)
    run("${pkg_config}" --cflags ${ARGN} convlow)
    string(STRIP "${output}" output)
    separate_arguments(flags UNIX_COMMAND "${output}")
    list(TRANSFORM flags REPLACE "^-lconvlow$" "-l${library}")
    file(MAKE_DIRECTORY "${folder}")
    run("${c_compiler}" -std=c99 "${consumer}/main.c" ${flags} -o "${folder}/consumer")
    run("${cxx_compiler}" -std=c++17 "${consumer}/main.cpp" ${flags} -o "${folder}/consumer_cpp")
    run("${folder}/consumer")
    run("${folder}/consumer_cpp")
endfunction()

file(REMOVE_RECURSE "${work}")
run("${CMAKE_COMMAND}" --install "${build}" --prefix "${work}/first" --config "${config}")
file(RENAME "${work}/first" "${work}/moved")
use_installed("${work}/moved" "${libdir}" "${work}/in_moved")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/../examples/training" -B "${work}/training" -G "${generator}"
    "-DCMAKE_BUILD_TYPE=${config}" "-DCMAKE_C_COMPILER=${c_compiler}" "-DCMAKE_PREFIX_PATH=${work}/moved")
run("${CMAKE_COMMAND}" --build "${work}/training" --config "${config}")

# Outside the folder with a space in its name, which pkg-config does not know again in what lies below a sysroot.
set(stage "${build}/stage")
file(REMOVE_RECURSE "${stage}")
build_for_usr("${work}/usr")
set(ENV{DESTDIR} "${stage}")
run("${CMAKE_COMMAND}" --install "${work}/usr" --config "${config}" --strip)
unset(ENV{DESTDIR})
if(shared)
    file(SIZE "${work}/moved/${libdir}/${shared_name}" whole)
    file(SIZE "${stage}/usr/${usr_libdir}/${shared_name}" stripped)
    if(NOT stripped LESS whole)
        message(FATAL_ERROR "the stripped library has ${stripped} bytes, the other one ${whole}")
    endif()
endif()
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${stage}")
use_installed("${stage}/usr" "${usr_libdir}" "${work}/in_stage")
