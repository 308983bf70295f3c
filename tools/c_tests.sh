# shellcheck shell=bash
# The C tests, in folders that CMake has configured.

# build_c_tests FOLDER TARGETS: all of them where no targets are named.
build_c_tests() {
    local targets=()
    [ $# = 1 ] || targets=(--target "${@:2}")
    cmake --build "$1" -j "$(nproc)" "${targets[@]}"
}

# run_c_tests FOLDER ARGUMENTS: ctest, and the last lines with numbers that each test has printed.
run_c_tests() {
    ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$(nproc)" "${@:2}"
    awk '
        /^[0-9]+\/[0-9]+ Testing: / { name = $3; gsub("_", " ", name); count = 0 }
        /^<end of output>/ {
            for (at = count > 4 ? count - 3 : 1; at <= count; at++) print name ": " lines[at]
            inside = 0
        }
        inside && /[0-9]/ { sub("^" name ": ", ""); lines[++count] = $0 }
        /^Output:/ { inside = 1 }
    ' "$1/Testing/Temporary/LastTest.log"
}

# The quick C tests, with the library of cargo's dev profile. The one that counts allocations executes every algorithm.
test_c_quick() {
    cmake_in check build-quick
    build_c_tests build-quick
    CONVLOW_TEST_QUICK=1 run_c_tests build-quick -E '^(install|add_subdirectory|packages|no_allocation)$'
}

# All C tests, with the library as users build it.
test_c() {
    cmake_in release build
    build_c_tests build
    run_c_tests build
}

test_c_sanitized() {
    cmake_in sanitize build-sanitize
    build_c_tests build-sanitize
    run_c_tests build-sanitize
}

test_c_valgrind() {
    cmake_in release build-valgrind -DCONVLOW_VALGRIND=ON
    build_c_tests build-valgrind
    run_c_tests build-valgrind
}

# count_instructions: compares the instructions that layers take with those that are written; with --write it writes them.
count_instructions() {
    need valgrind valgrind
    cmake_in release build
    build_c_tests build instructions
    python3 tools/instructions.py build/c_tests/instructions target/instructions "$@"
}

# What fails now and then, tried often: hosts that fork, copies of the library that come and go.
test_c_often() {
    cmake_in release build
    build_c_tests build
    CONVLOW_TEST_LONG=1 run_c_tests build -R '^(hosts|unload|guests|out_of_memory)$'
}

# test_random_descriptors COUNT: random descriptors through the C functions under AddressSanitizer, on all cores.
test_random_descriptors() {
    cmake_in sanitize build-sanitize
    build_c_tests build-sanitize random_descriptors
    local jobs=() job cores
    cores=$(nproc)
    for ((job = 1; job <= cores; job++)); do
        build-sanitize/c_tests/random_descriptors "$job" "$((($1 + cores - 1) / cores))" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        wait "$job"
    done
    echo "random descriptors: $1 under AddressSanitizer, all answered"
}
