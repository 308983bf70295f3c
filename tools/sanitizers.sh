# shellcheck shell=bash
# Rust tests under AddressSanitizer and ThreadSanitizer, and every order of the steps of a pool's threads.

# test_sanitized: Rust tests under AddressSanitizer. A seed that makes the library ask for more memory than a small problem
# needs is a mistake.
test_sanitized() {
    cargo_in sanitize test --lib
    cargo_in sanitize test --test computing -- --show-output propagation:: slices::
    ASAN_OPTIONS=max_allocation_size_mb=256 OPENBLAS_NUM_THREADS=1 cargo_in sanitize test --test seeds -- --show-output
}

test_sanitized_threads() {
    cargo_in sanitize test --test computing -- --show-output threads::
}

# test_races: pools, and executes at the same time, under ThreadSanitizer.
test_races() {
    local rustc target=x86_64-unknown-linux-gnutsan folder
    rustc=$(rustc_for $target) || {
        echo "races: NOT TESTED, Rust's standard library could not be built for ThreadSanitizer here"
        return
    }
    folder=$(folder_of races)
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
    cargo_in races test --lib -- cores:: float_mode:: pool:: tiles::
    cargo_in races test --test computing -- --show-output threads::results threads::a_tight threads::many slices::
    echo "races: 1 seen that is there, and 0 in the tests of pools, threads and slices"
}

# test_pool_models: every order in which a pool's threads may take their steps.
test_pool_models() {
    cargo_in pool test --lib models -- --nocapture
}
