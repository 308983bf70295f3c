# shellcheck shell=bash
# LLVM's fuzzer.

# The fuzzer's sources as those of the library: format and lints.
check_fuzz() {
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo_in fuzz clippy --quiet -- -D warnings
}

# test_fuzz SECONDS: so many for each attack, from the inputs of fuzz/seeds and those that earlier runs found worth keeping.
# An input that breaks something is kept, and named.
test_fuzz() {
    need c++ g++
    check_fuzz
    cargo_in fuzz build --quiet
    local attack log total=0 count=0 runs root=target/fuzz
    mkdir -p $root/found
    for attack in fuzz/seeds/*; do
        attack=${attack##*/}
        log=$root/found/$attack.log
        mkdir -p "$root/corpus/$attack"
        # More memory than a small problem needs is a mistake, and so is more time. What lists are passed over is told
        # on stderr, a thousand times a second.
        OPENBLAS_NUM_THREADS=1 "$(folder_of fuzz)/$attack" \
            "$root/corpus/$attack" "fuzz/seeds/$attack" -max_total_time="$1" -timeout=30 -rss_limit_mb=2048 \
            -malloc_limit_mb=256 -max_len=4096 -artifact_prefix="$root/found/$attack-" -print_final_stats=1 \
            >"$log" 2>&1 || {
            grep -av '^convlow: note:' "$log" | tail -n 40 >&2
            echo "./dev: the fuzzer broke $attack, and kept the input in $root/found" >&2
            return 1
        }
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        [ "${runs:-0}" -gt 0 ]
        total=$((total + runs))
        count=$((count + 1))
        echo "fuzz: $attack, $runs inputs in $1 s, $(grep -ao 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)"
    done
    echo "fuzz: $total inputs to $count attacks, none broke anything"
}
