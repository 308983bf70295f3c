# shellcheck shell=bash
# Tests under AddressSanitizer and ThreadSanitizer, and every order of the steps of a pool's threads.

# What is built with AddressSanitizer: both as Rust's tests and as C's, so that it is compiled once.
sanitized_parts=openblas,mec,winograd,f64

# run_sanitized_tests ARGUMENTS: Rust tests under AddressSanitizer.
run_sanitized_tests() {
    say "Rust tests under AddressSanitizer: $*"
    # The toolchain ships the sanitizer's runtime; only its flag is not stable.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/sanitize \
        cargo test --locked --target "$(rust_host)" \
        --no-default-features --features "$sanitized_parts" "$@"
}

# The same library for the C tests, from the same folder.
configure_sanitized() {
    cmake -S . -B build-sanitize -DCMAKE_BUILD_TYPE=Debug -DCONVLOW_SANITIZE=ON \
        -DCONVLOW_PORTABLE=OFF -DCONVLOW_AVX512=OFF -DCONVLOW_CARGO_DIR="$PWD/target/sanitize"
}

# run_random_descriptors COUNT: random descriptors through the C functions under AddressSanitizer, on all cores.
run_random_descriptors() {
    need_for_tests
    configure_sanitized >/dev/null
    cmake --build build-sanitize --target random_descriptors -j "$(nproc)" >/dev/null
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

# run_race_tests: pools, and executes at the same time, under ThreadSanitizer.
run_race_tests() {
    say "threads under ThreadSanitizer"
    local rustc target=x86_64-unknown-linux-gnutsan folder=$PWD/target/tsan
    rustc=$(rustc_for $target) || {
        echo "races: NOT TESTED, Rust's standard library could not be built for ThreadSanitizer here"
        return
    }
    mkdir -p "$folder"
    # What it is worth: here is a race.
    "$rustc" --target $target -o "$folder/race" - <<'SOURCE'
static mut SHARED: u32 = 0;
fn main() {
    let other = std::thread::spawn(|| unsafe { SHARED += 1 });
    unsafe { SHARED += 1 };
    other.join().unwrap();
}
SOURCE
    if "$folder/race" 2>"$folder/race.log"; then
        echo "./dev: ThreadSanitizer does not see a race" >&2
        return 1
    fi
    grep -F 'WARNING: ThreadSanitizer: data race' "$folder/race.log"
    RUSTC=$rustc CARGO_TARGET_DIR=$folder cargo test --locked --target $target --no-default-features --features winograd \
        --lib --test threads -- --nocapture parallel results many
    echo "races: one seen that is there, and none in the tests of pools and threads"
}

# run_pool_models: every order in which a pool's threads may take their steps.
run_pool_models() {
    say "every order of the steps of a pool's threads"
    RUSTFLAGS="--cfg convlow_loom" CARGO_TARGET_DIR=target/loom CARGO_PROFILE_DEV_OPT_LEVEL=1 \
        cargo test --locked --no-default-features --lib models -- --nocapture
}
