# shellcheck shell=bash
# LLVM's fuzzer.

# The fuzzer's targets in fuzz/fuzz_targets.
fuzz_targets=(descriptor execute packed_weights problem_list wisdom)

fuzz_folder=$PWD/target/fuzz

# Builds them as cargo-fuzz would, which wants nightly's cargo and is not needed: instrumented for LLVM's fuzzer and
# AddressSanitizer, whose flags alone are not stable.
build_fuzz() {
    need_rust
    need c++ g++
    local flags=(--cfg fuzzing -Cpasses=sancov-module -Zsanitizer=address -Cdebug-assertions)
    local coverage
    for coverage in level=4 inline-8bit-counters pc-table trace-compares stack-depth; do
        flags+=("-Cllvm-args=-sanitizer-coverage-$coverage")
    done
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=$fuzz_folder \
        cargo build --quiet --locked --manifest-path fuzz/Cargo.toml --target "$(rust_host)"
}

# The fuzzer's sources as those of the library: format and lints.
check_fuzz() {
    need_component fmt rustfmt
    need_component clippy clippy
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    CARGO_TARGET_DIR=$fuzz_folder/lints cargo clippy --quiet --locked --manifest-path fuzz/Cargo.toml -- -D warnings
}

# run_fuzz SECONDS [SEED]: so many seconds for each target, from the inputs of fuzz/seeds and those that earlier runs found
# worth keeping. An input that breaks something is kept, and named.
run_fuzz() {
    build_fuzz
    local target log total=0 runs found=$fuzz_folder/found
    mkdir -p "$found"
    for target in "${fuzz_targets[@]}"; do
        log=$found/$target.log
        mkdir -p "$fuzz_folder/corpus/$target"
        # More memory than a small problem needs is a mistake, and so is more time. What lists are passed over is told
        # on stderr, a thousand times a second.
        OPENBLAS_NUM_THREADS=1 "$fuzz_folder/$(rust_host)/debug/$target" \
            "$fuzz_folder/corpus/$target" "fuzz/seeds/$target" -max_total_time="$1" -seed="${2:-0}" -timeout=30 -rss_limit_mb=2048 \
            -malloc_limit_mb=256 -max_len=4096 -artifact_prefix="$found/$target-" -print_final_stats=1 \
            >"$log" 2>&1 || {
            grep -av '^convlow: note:' "$log" | tail -n 40 >&2
            echo "./dev: the fuzzer broke $target, and kept the input in $found" >&2
            return 1
        }
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        [ "${runs:-0}" -gt 0 ]
        total=$((total + runs))
        echo "fuzz: $target, $runs inputs in $1 s, $(grep -ao 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)"
    done
    echo "fuzz: $total inputs to ${#fuzz_targets[@]} targets, none broke anything"
}
