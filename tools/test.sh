# shellcheck shell=bash
# The quick and the full test.

# run_test [quick | pytorch]
run_test() {
    case "$*" in
        '') run_full_test ;;
        quick) run_quick_test ;;
        pytorch) test_torch ;;
        *)
            echo "./dev: test takes nothing, quick or pytorch, but not $*" >&2
            return 2
            ;;
    esac
}

# All that it compiles is the build `check`.
run_quick_test() {
    need_for_tests
    begin_stages quick
    stage format check_format
    stage lints check_lints
    stage rust test_rust_quick
    stage c test_c_quick
    say "all quick checks passed"
}

run_full_test() {
    need_for_tests
    need valgrind valgrind
    need pkg-config pkg-config
    begin_stages test
    stage format check_format
    stage python check_python
    stage crates check_crates
    stage lints check_lints
    stage documentation check_documentation
    stage builds compile_first
    stage rust test_rust
    stage engine test_engine
    stage smallest test_smallest
    stage pool test_pool_models
    stage evaluation test_evaluation
    stage arm test_arm depthwise:: conformance::
    stage provider test_provider
    stage pytorch test_torch_quick
    stage c test_c
    stage instructions count_instructions
    stage valgrind test_c_valgrind
    stage sanitized test_sanitized
    stage c_sanitized test_c_sanitized
    say "all checks passed"
}

# compile_first: builds for tests on this machine. Optimised for users, one core compiles the inner loops; what keeps all
# cores busy is compiled meanwhile.
compile_first() {
    local beside log=target/stages/beside.log
    { cargo_in provider build && bytes_in small; } >"$log" 2>&1 &
    beside=$!
    cargo_in check test --no-run
    cargo_in minimal test --no-run --lib --test computing
    wait "$beside" || {
        cat "$log" >&2
        return 1
    }
}

# Every Rust test.
test_rust() {
    cargo_in check test -- --show-output
}

# What an engine in Rust shares with the library: rayon's threads, and the BLAS that a crate links.
test_engine() {
    cargo_in engine clippy --quiet --all-targets -- -D warnings
    cargo_in engine test --lib --test computing --test documents -- --show-output rayon:: blas:: many_threads rust:: \
        package::no_dependency
}

# Those that do not take minutes.
test_rust_quick() {
    cargo_in check test --exclude convlow-onnxruntime --exclude convlow-torch --lib --test command --test documents --test header --test planning \
        --test seeds
    cargo_in check test --test computing -- depthwise:: register_tile::
}
