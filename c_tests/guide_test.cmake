# The examples of docs/guide.md and docs/training.md: those in C compile, programs run and print what the text says. Run by
# ctest, which sets the variables.

cmake_minimum_required(VERSION 3.20)

# What the examples in C take from the text around them.
set(around "#include <convlow.h>
void check(convlow_status status);
extern convlow_convnd_desc desc;
extern float *src, *packed, *bias, *skip, *dst, *workspace, *concatenation, *weights, *diff_dst, *diff_src,
    *diff_weights, *diff_bias;
void example(void);
")

file(READ "${source}/docs/guide.md" rest)
file(READ "${source}/docs/training.md" of_training)
string(APPEND rest "${of_training}")
set(examples 0)
while(rest MATCHES "\n```(c|cpp)\n")
    set(language "${CMAKE_MATCH_1}")
    set(mark "${CMAKE_MATCH_0}")
    string(LENGTH "${mark}" length)
    string(FIND "${rest}" "${mark}" at)
    math(EXPR at "${at} + ${length}")
    string(SUBSTRING "${rest}" ${at} -1 rest)
    string(FIND "${rest}" "```" end)
    string(SUBSTRING "${rest}" 0 ${end} code)
    string(SUBSTRING "${rest}" ${end} -1 rest)
    if(language STREQUAL "cpp")
        set(program "${code}")
        continue()
    endif()
    if(code MATCHES "int main")
        set(training_program "${code}")
        continue()
    endif()
    math(EXPR examples "${examples} + 1")
    set(file "example${examples}.c")
    file(WRITE "${work}/${file}" "${around}\nvoid example(void) {\n${code}}\n")
    execute_process(
        COMMAND "${c_compiler}" -std=c99 ${warnings} -Wno-unused -fsyntax-only "-I${source}/include" "${file}"
        WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
endwhile()
if(examples LESS 6)
    message(FATAL_ERROR "docs/guide.md and docs/training.md have ${examples} examples in C")
endif()

file(WRITE "${work}/program.cpp" "${program}")
execute_process(
    COMMAND "${cxx_compiler}" -std=c++17 ${warnings} program.cpp "-I${source}/include" "${library}/libconvlow.so"
        "-Wl,-rpath,${library}" -o program
    WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${launcher} "${work}/program" OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
if(NOT printed STREQUAL "dst[0]: 256\n" OR NOT program MATCHES "inside the border: 256\n")
    message(FATAL_ERROR "the guide's program prints: ${printed}")
endif()

if(training)
    file(WRITE "${work}/training.c" "${training_program}")
    execute_process(
        COMMAND "${c_compiler}" -std=c99 ${warnings} training.c "-I${source}/include" "${library}/libconvlow.so"
            "-Wl,-rpath,${library}" -o training
        WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${launcher} "${work}/training" OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
    if(NOT printed MATCHES "^step 0: loss 8.8e-02\nstep 100: loss 1.2e-05\nstep 200: loss [0-9.]+e-(0[89]|1[0-9])\n$")
        message(FATAL_ERROR "the program of docs/training.md prints: ${printed}")
    endif()
endif()
