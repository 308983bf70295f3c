# shellcheck shell=bash
# Tests of builds for other machines: ARM, emulated, and musl.

# test_arm NAME ...: Rust tests of what the kernels' NEON computes, in an emulated processor.
test_arm() {
    [ "$(uname -m)" = x86_64 ] || return 0 # ARM itself has tested its own.
    need_arm || return 0
    CONVLOW_TEST_PART=1 CONVLOW_ISA=neon cargo_in arm test --test computing -- --show-output "$@"
}

# The C surface on ARM, from a build through CMake's cross compiling.
test_cross_build() {
    [ "$(uname -m)" = x86_64 ] || return 0
    need_arm || return 0
    cmake_in arm build-arm
    build_c_tests build-arm
    CONVLOW_TEST_QUICK=1 run_c_tests build-arm \
        -R '^(first_steps|status_codes|bad_fields|dimensions|weights_blob|threads|wisdom|cpp_api|unload|elf|header_.*)$'
}

# A library and programs that need nothing at all of the system that they run on.
test_static_build() {
    [ "$(uname -m)" = x86_64 ] || return 0
    need musl-gcc musl-tools
    need pkg-config pkg-config
    local flags programs=(first_steps dimensions weights_blob threads) program
    rustc_for x86_64-unknown-linux-musl >/dev/null || {
        echo "static build: skipped, there is no Rust for x86_64-unknown-linux-musl, and its standard library could not be built"
        return
    }
    cmake_in musl build-musl
    build_c_tests build-musl convlow_cargo "${programs[@]}"
    CONVLOW_TEST_QUICK=1 run_c_tests build-musl -R "^($(IFS='|' && echo "${programs[*]}"))\$"

    rm -rf build-musl/prefix
    cmake --install build-musl --prefix "$PWD/build-musl/prefix" >/dev/null
    flags=$(PKG_CONFIG_PATH=$(echo "$PWD"/build-musl/prefix/lib*/pkgconfig) pkg-config --cflags --libs convlow)
    # shellcheck disable=SC2086 # The flags are words.
    musl-gcc -static c_tests/consumer/main.c $flags -o build-musl/consumer
    build-musl/consumer
    for program in build-musl/consumer "${programs[@]/#/build-musl/c_tests/}"; do
        if readelf --wide --program-headers "$program" | grep -E 'INTERP|DYNAMIC'; then
            echo "./dev: $program is not static" >&2
            return 1
        fi
    done
    # Without it a panic would end the process in place of a call.
    readelf --wide --program-headers build-musl/consumer | grep GNU_EH_FRAME >/dev/null
    echo "static build: ${#programs[@]} tests for musl, and 1 installed program without any shared library"
}
