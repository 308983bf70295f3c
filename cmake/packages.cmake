# Debian packages by `cpack`, one for each component of the installation, split and named as Debian does it:
# the shared library under its interface version, what programs are built with, and the command line.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "convlow maintainers")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Debian's own tool knows in which packages the linked libraries are.
find_program(CONVLOW_DPKG_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(CONVLOW_DPKG_SHLIBDEPS)
if(CONVLOW_DPKG_SHLIBDEPS)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()

set(package_files "${CMAKE_CURRENT_BINARY_DIR}/packages")
file(READ LICENSE-MIT license)
file(WRITE "${package_files}/own"
    "convlow is under the MIT or the Apache 2.0 license, at your choice. The Apache License 2.0 is in\n"
    "/usr/share/common-licenses/Apache-2.0; the other one follows.\n\n${license}")

# The Debian package of a component, whose file of licenses also holds those of the crates that this manifest's package is
# linked with.
function(convlow_package component name section contents manifest)
    # In packages only: who installs from the sources has the licenses there.
    set(copyright "${package_files}/${name}/copyright")
    install(CODE "execute_process(COMMAND \"${CMAKE_COMMAND}\" -E env \"RUSTC=${CONVLOW_RUSTC}\"
            \"${CMAKE_COMMAND}\" \"-Dcargo=${CONVLOW_CARGO}\" \"-Dmanifest=${CMAKE_CURRENT_SOURCE_DIR}/${manifest}\"
            -Dtarget=${CONVLOW_RUST_TARGET} -Dfeatures=${features} \"-Down=${package_files}/own\"
            \"-Dto=${copyright}\" -P \"${CMAKE_CURRENT_SOURCE_DIR}/cmake/notices.cmake\"
            COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component} EXCLUDE_FROM_ALL)
    install(FILES "${copyright}" DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${name}"
        COMPONENT ${component} EXCLUDE_FROM_ALL)
    string(TOUPPER "CPACK_DEBIAN_${component}" prefix)
    set(${prefix}_PACKAGE_NAME "${name}" PARENT_SCOPE)
    set(${prefix}_PACKAGE_SECTION "${section}" PARENT_SCOPE)
    # The project's description becomes the line above it.
    set(${prefix}_DESCRIPTION "${contents} of convlow, which computes the convolutions of\nneural networks in \
exactly as much memory as their plans say." PARENT_SCOPE)
    list(APPEND CPACK_COMPONENTS_ALL ${component})
    set(CPACK_COMPONENTS_ALL "${CPACK_COMPONENTS_ALL}" PARENT_SCOPE)
endfunction()

set(CPACK_COMPONENTS_ALL)
if(convlow_shared)
    convlow_package(convlow_runtime "libconvlow${abi_version}" libs "The shared library" Cargo.toml)
    file(WRITE "${package_files}/triggers" "activate-noawait ldconfig\n")
    set(CPACK_DEBIAN_CONVLOW_RUNTIME_PACKAGE_CONTROL_EXTRA "${package_files}/triggers")
    set(CPACK_COMPONENT_CONVLOW_DEVELOPMENT_DEPENDS convlow_runtime)
endif()
convlow_package(convlow_development libconvlow-dev libdevel "The development files" Cargo.toml)
if(CONVLOW_BLAS)
    set(CPACK_DEBIAN_CONVLOW_DEVELOPMENT_PACKAGE_DEPENDS libopenblas-dev) # which the static library is linked with
endif()
if(CONVLOW_TOOL)
    convlow_package(convlow_tool convlow science "The command line" cli/Cargo.toml)
endif()
include(CPack)
