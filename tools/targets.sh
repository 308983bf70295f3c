# shellcheck shell=bash
# Tests of builds for other machines: ARM, emulated, and musl.

# run_arm_tests ARGUMENTS: Rust tests of the kernels' NEON, in an emulated processor.
run_arm_tests() {
    [ "$(uname -m)" = x86_64 ] || return 0 # ARM itself has tested its own.
    local rustc
    need_arm || return 0
    RUSTC=$rustc CARGO_TARGET_DIR=$PWD/target/arm CARGO_PROFILE_DEV_DEBUG=0 \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
        CONVLOW_TEST_PART=1 CONVLOW_ISA=neon \
        cargo test --locked --no-default-features --features gemm,winograd,f64,portable --target aarch64-unknown-linux-gnu \
        "$@" -- --nocapture
}

# run_c_tests FOLDER PATTERN: those of a build's C tests whose names match, in the short form, and how many these are in
# `count`.
run_c_tests() {
    CONVLOW_TEST_QUICK=1 ctest --test-dir "$1" --output-on-failure -R "^($2)\$" --no-tests=error | tee "$1/tests.log" >&2
    count=$(sed -n 's/^100% tests passed, 0 tests failed out of \([0-9]*\)$/\1/p' "$1/tests.log")
}

# The C surface on ARM, from a build through CMake's cross compiling.
test_cross_build() {
    [ "$(uname -m)" = x86_64 ] || return 0
    say "CMake's cross build for ARM, emulated"
    local rustc count
    need_arm || return 0
    cmake -S . -B build-arm -DCMAKE_BUILD_TYPE=Debug -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
        -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
        "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu" \
        -DCONVLOW_RUSTC="$rustc" -DCONVLOW_BLAS=OFF -DCONVLOW_CARGO_DIR="$PWD/target/arm"
    cmake --build build-arm -j "$(nproc)"
    run_c_tests build-arm 'first_steps|status_codes|bad_fields|dimensions|weights_blob|threads|wisdom|cpp_api|unload|elf|header_.*'
    echo "cross build for ARM: $count tests passed"
}

# A library and programs that need nothing at all of the system that they run on.
test_static_build() {
    [ "$(uname -m)" = x86_64 ] || return 0
    say "a static build for musl"
    need musl-gcc musl-tools
    need pkg-config pkg-config
    local rustc count flags programs=(first_steps dimensions weights_blob threads) program
    rustc=$(rustc_for x86_64-unknown-linux-musl) || {
        echo "static build: skipped, there is no Rust for x86_64-unknown-linux-musl, and its standard library could not be built"
        return
    }
    cmake -S . -B build-musl -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_EXE_LINKER_FLAGS=-static \
        -DCONVLOW_RUSTC="$rustc" -DCONVLOW_RUST_TARGET=x86_64-unknown-linux-musl -DCONVLOW_BLAS=OFF \
        -DBUILD_SHARED_LIBS=OFF -DCONVLOW_CARGO_DIR="$PWD/target/musl"
    cmake --build build-musl -j "$(nproc)" --target convlow_cargo "${programs[@]}"
    run_c_tests build-musl "$(IFS='|' && echo "${programs[*]}")"

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
    echo "static build for musl: $count tests passed, and an installed program without any shared library"
}
