# Writes the notices of the crates that are linked into what is installed: cmake -P, with the variables `cargo`, `manifest`,
# `target` (a triple), `features` (with commas between them; --no-default-features goes without saying), `own` (the project's
# own notice) and `to`, the file. Equal texts are written once, behind the names of all crates that they belong to.

cmake_minimum_required(VERSION 3.20)

get_filename_component(source_folder "${manifest}" DIRECTORY) # whose .cargo may say where crates are
file(STRINGS "${manifest}" package REGEX "^name = " LIMIT_COUNT 1)
string(REGEX REPLACE "^name = \"(.*)\"$" "\\1" package "${package}")
set(options --locked --manifest-path "${manifest}" --no-default-features "--features=${features}")
execute_process(
    COMMAND "${cargo}" tree ${options} --package "${package}" --target "${target}" --edges normal,no-proc-macro
        --prefix none --no-dedupe --format "{p}"
    WORKING_DIRECTORY "${source_folder}" OUTPUT_VARIABLE tree COMMAND_ERROR_IS_FATAL ANY)
execute_process(
    COMMAND "${cargo}" metadata ${options} --filter-platform "${target}" --format-version 1
    WORKING_DIRECTORY "${source_folder}" OUTPUT_VARIABLE metadata ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
string(JSON packages GET "${metadata}" packages)
string(JSON count LENGTH "${packages}")
math(EXPR last "${count} - 1")

set(texts)
set(linked 0)
foreach(at RANGE ${last})
    string(JSON package GET "${packages}" ${at})
    foreach(field name version license manifest_path source)
        string(JSON ${field} ERROR_VARIABLE none GET "${package}" ${field})
    endforeach()
    # What has no source is the project itself.
    string(FIND "\n${tree}\n" "\n${name} v${version}\n" found)
    if(found EQUAL -1 OR NOT source)
        continue()
    endif()
    math(EXPR linked "${linked} + 1")
    get_filename_component(folder "${manifest_path}" DIRECTORY)
    # Of several licenses to choose from, MIT.
    file(GLOB files "${folder}/LICENSE-MIT*" "${folder}/license-mit*")
    if(NOT files)
        file(GLOB files "${folder}/LICENSE*" "${folder}/LICENCE*" "${folder}/COPYING*")
    endif()
    if(files)
        list(SORT files)
        list(GET files 0 file)
        file(READ "${file}" text)
        string(STRIP "${text}" text)
    else()
        set(text "${license}, as its manifest says; it brings no text.")
    endif()
    string(SHA256 key "${text}")
    if(NOT key IN_LIST texts)
        list(APPEND texts "${key}")
        set(text_${key} "${text}")
        set(crates_${key})
    endif()
    list(APPEND crates_${key} "${name} ${version}")
endforeach()
if(linked EQUAL 0)
    message(FATAL_ERROR "no crates are linked into ${manifest}")
endif()

file(READ "${own}" notice)
string(APPEND notice "\nParts of Rust's standard library are linked, under the MIT or the Apache 2.0 license, and of these crates:\n")
foreach(key IN LISTS texts)
    list(JOIN crates_${key} ", " crates)
    string(APPEND notice "\n--- ${crates}\n\n${text_${key}}\n")
endforeach()
file(WRITE "${to}" "${notice}")
message(STATUS "notices of ${linked} crates")
