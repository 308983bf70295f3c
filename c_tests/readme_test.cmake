# The README's first C program, built as "by hand" says, prints what the README says it prints. Run by ctest, which sets the
# variables.

cmake_minimum_required(VERSION 3.20)

file(READ "${source}/README.md" text)
foreach(mark "```c\n" "```")
    string(FIND "${text}" "${mark}" at)
    if(at EQUAL -1)
        message(FATAL_ERROR "README.md has no C program")
    endif()
    string(SUBSTRING "${text}" 0 ${at} program)
    string(LENGTH "${mark}" length)
    math(EXPR at "${at} + ${length}")
    string(SUBSTRING "${text}" ${at} -1 text)
endforeach()
file(WRITE "${work}/program.c" "${program}")

execute_process(
    COMMAND "${c_compiler}" -std=c99 ${warnings} program.c "-I${source}/include" "${library}/libconvlow.so"
        "-Wl,-rpath,${library}" -o program
    WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${launcher} "${work}/program" OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
if(NOT printed MATCHES "dst\\[0\\] = 36\n")
    message(FATAL_ERROR "the program prints: ${printed}")
endif()
