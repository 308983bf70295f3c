# The README's C program, built as docs/building.md says under "By hand", prints what the README says it prints, but for the
# lines that depend on the machine. Run by ctest, which sets the variables.

cmake_minimum_required(VERSION 3.20)

# take_block(OPENING TO): what lies between the next line OPENING of `text` and the end of its block; `text` goes on behind it.
function(take_block opening to)
    foreach(mark "\n${opening}\n" "```\n")
        string(FIND "${text}" "${mark}" at)
        if(at EQUAL -1)
            message(FATAL_ERROR "README.md has no block that begins with ${opening}")
        endif()
        string(SUBSTRING "${text}" 0 ${at} block)
        string(LENGTH "${mark}" length)
        math(EXPR at "${at} + ${length}")
        string(SUBSTRING "${text}" ${at} -1 text)
    endforeach()
    set(${to} "${block}" PARENT_SCOPE)
    set(text "${text}" PARENT_SCOPE)
endfunction()

# comparable(OUTPUT TO): without the values of the lines that depend on the machine.
function(comparable output to)
    string(REGEX REPLACE "algorithm: [-a-z0-9]+\n" "algorithm: ...\n" output "${output}")
    string(REGEX REPLACE "workspace: [0-9]+ bytes\n" "workspace: ...\n" output "${output}")
    set(${to} "${output}" PARENT_SCOPE)
endfunction()

file(READ "${source}/README.md" text)
take_block("```c" program)
take_block("```" expected)
file(WRITE "${work}/program.c" "${program}")

execute_process(
    COMMAND "${c_compiler}" -std=c99 ${warnings} program.c "-I${source}/include" "${library}/libconvlow.so"
        "-Wl,-rpath,${library}" -o program
    WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${launcher} "${work}/program" OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
comparable("${printed}" found)
comparable("${expected}" expected)
if(NOT expected MATCHES "algorithm: \\.\\.\\.\nworkspace: \\.\\.\\.\n" OR NOT found STREQUAL expected)
    message(FATAL_ERROR "the program prints:\n${printed}\nwhich is not what README.md says")
endif()
string(REGEX MATCH "workspace: ([0-9]+)" line "${printed}")
if(CMAKE_MATCH_1 GREATER 65536)
    message(FATAL_ERROR "the program's limit is 64 KiB of workspace: ${line}")
endif()
