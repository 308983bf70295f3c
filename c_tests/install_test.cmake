# Installs convlow, moves the tree elsewhere, and uses it there as other projects do: through find_package and
# through pkg-config, shared and static. Run by ctest, which sets the variables.

cmake_minimum_required(VERSION 3.20)

include("${CMAKE_CURRENT_LIST_DIR}/consume.cmake")

set(prefix "${work}/moved")
file(REMOVE_RECURSE "${work}")
run("${CMAKE_COMMAND}" --install "${build}" --prefix "${work}/first" --config "${config}")
file(RENAME "${work}/first" "${prefix}")

foreach(file include/convlow.h include/convlow.hpp "${libdir}/libconvlow.a" "${libdir}/pkgconfig/convlow.pc")
    if(NOT EXISTS "${prefix}/${file}")
        message(FATAL_ERROR "${file} was not installed")
    endif()
endforeach()
foreach(link libconvlow.so "${soname}")
    if(shared AND NOT IS_SYMLINK "${prefix}/${libdir}/${link}")
        message(FATAL_ERROR "${link} is not a symbolic link")
    elseif(NOT shared AND EXISTS "${prefix}/${libdir}/${link}")
        message(FATAL_ERROR "${link} was installed, but BUILD_SHARED_LIBS is OFF")
    endif()
endforeach()

foreach(library convlow convlow_static)
    consume("${work}/${library}" "-DCMAKE_PREFIX_PATH=${prefix}" "-DCONSUMER_LIBRARY=convlow::${library}")
endforeach()

if(NOT pkg_config)
    message(STATUS "no pkg-config here, so it was not tested")
    return()
endif()

# flags(RESULT ARGUMENTS...): what pkg-config answers, as a list.
function(flags result)
    run("${CMAKE_COMMAND}" -E env "PKG_CONFIG_PATH=${prefix}/${libdir}/pkgconfig"
        "${pkg_config}" ${ARGN} convlow)
    string(STRIP "${output}" output)
    separate_arguments(output UNIX_COMMAND "${output}")
    set(${result} "${output}" PARENT_SCOPE)
endfunction()

flags(shared_flags --cflags --libs)
run("${c_compiler}" -std=c99 "${consumer}/main.c" ${shared_flags} -o "${work}/through_pkg_config")
run("${CMAKE_COMMAND}" -E env "LD_LIBRARY_PATH=${prefix}/${libdir}" "${work}/through_pkg_config")

# Where both libraries lie side by side the linker prefers the shared one, so the static one is named here.
flags(static_flags --cflags --libs --static)
list(TRANSFORM static_flags REPLACE "^-lconvlow$" "-l:libconvlow.a")
run("${c_compiler}" -std=c99 "${consumer}/main.c" ${static_flags} -o "${work}/static_through_pkg_config")
run("${CMAKE_COMMAND}" -E env --unset=LD_LIBRARY_PATH "${work}/static_through_pkg_config")
