# shellcheck shell=bash
# The quick and the full test.

run_quick_tests() {
    need_for_tests
    check_format

    say "lints"
    cargo clippy --quiet --locked --all-targets -- -D warnings

    say "Rust tests, without those that take minutes"
    cargo test --locked --lib --test command --test depthwise --test header --test planner --test readme \
        --test package --test promises --test register_tile --test symbols --test workspace

    say "C tests, with the library of cargo's dev profile"
    cmake -S . -B build-quick -DCMAKE_BUILD_TYPE=Debug >/dev/null
    cmake --build build-quick -j "$(nproc)"
    CONVLOW_TEST_QUICK=1 ctest --test-dir build-quick --output-on-failure -j "$(nproc)" -E '^(install|add_subdirectory|packages)$'

    say "all quick checks passed"
}

run_tests() {
    build_once
    need_for_tests
    need valgrind valgrind
    need pkg-config pkg-config
    local jobs
    jobs=$(nproc)

    check_format
    check_python
    check_crates

    say "lints, with every feature"
    cargo clippy --quiet --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps --document-private-items

    say "Rust tests"
    cargo test --locked -- --nocapture
    check_smallest

    say "Rust tests with ARM's instructions, emulated"
    run_arm_tests --test depthwise --test conformance

    say "the execution provider in ONNX Runtime"
    cargo clippy --quiet --locked --package convlow-onnxruntime --all-targets -- -D warnings
    # As the wheel is built, so that the library is compiled once.
    cargo test --release --locked --package convlow-onnxruntime
    provider_environment
    provider_python -m unittest discover --start-directory integrations/onnxruntime/tests
    check_provider_memory 23
    provider_python integrations/onnxruntime/tests/fuzz_models.py --count 400

    say "the evaluation: its verdicts, and all of it on tiny problems"
    python_module unittest --quiet evaluation.test_noise
    mkdir -p target/evaluation
    printf 'ic8ih9oc12kh3ph1n"tiny:first*2"\nic8ih9oc12kh1n"tiny:second"\n' >target/evaluation/tiny.txt
    evaluation "${CARGO_TARGET_DIR:-target}/debug/convlow" --network target/evaluation/tiny.txt --seconds 2 --peer-rounds 0 \
        --results target/evaluation --document target/evaluation/tiny.md
    grep -q '^| im2col | O(K²CHW) | C·Kh·Kw·OH·OW | 1.000 to 1.000 |' target/evaluation/tiny.md

    run_pool_models
    run_sanitized_tests --lib --test propagation
    say "the fuzzer, from its seeds"
    run_fuzz 3 1

    say "C tests through CMake"
    cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
    cmake --build build -j "$jobs"
    ctest --test-dir build --output-on-failure

    say "C tests under AddressSanitizer and UndefinedBehaviorSanitizer"
    configure_sanitized
    cmake --build build-sanitize -j "$jobs"
    ctest --test-dir build-sanitize --output-on-failure -j "$jobs"

    say "C tests under Valgrind"
    cmake -S . -B build-valgrind -DCMAKE_BUILD_TYPE=Release -DCONVLOW_VALGRIND=ON \
        -DCONVLOW_CARGO_DIR="$PWD/build/cargo"
    cmake --build build-valgrind -j "$jobs"
    ctest --test-dir build-valgrind --output-on-failure -j "$jobs"

    say "all checks passed"
}

# run_test [quick]
run_test() {
    case "$*" in
        '') run_tests ;;
        quick) run_quick_tests ;;
        *)
            echo "./dev: test takes nothing, or quick, but not $*" >&2
            return 2
            ;;
    esac
}
