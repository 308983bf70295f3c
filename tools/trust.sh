# shellcheck shell=bash
# The long run.

# run_long_c_tests: what fails now and then, tried often: hosts that fork, copies of the library that come and go.
run_long_c_tests() {
    say "C tests of hosts that fork and unload, many times"
    cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build build -j "$(nproc)"
    CONVLOW_TEST_LONG=1 ctest --test-dir build --verbose --tests-regex '^(hosts|unload|guests|out_of_memory)$'
}

# The comparison with other engines, on tiny problems.
check_peers() {
    need_rust
    need_venv
    say "the comparison with other engines, on tiny problems"
    benches/peers/selftest
}

# The parts of the long run, by name, and what each calls.
trust_parts=(fuzz descriptors models provider pool races hosts sanitized arm cross static vendored packages sizes package advisories peers)

trust() {
    case "$1" in
        fuzz)
            check_fuzz
            run_fuzz "${CONVLOW_FUZZ_SECONDS:-600}"
            ;;
        descriptors) run_random_descriptors 1000000 ;;
        models)
            provider_environment
            provider_python integrations/onnxruntime/tests/fuzz_models.py --seconds "${CONVLOW_FUZZ_SECONDS:-600}" --first 400
            ;;
        provider)
            provider_environment
            check_provider_memory 1
            ;;
        pool) run_pool_models ;;
        races) run_race_tests ;;
        hosts) run_long_c_tests ;;
        sanitized) run_sanitized_tests --test threads ;;
        arm) run_arm_tests --test register_tile ;;
        cross) test_cross_build ;;
        static) test_static_build ;;
        vendored) test_vendored_build ;;
        packages) test_packages ;;
        sizes) report_sizes ;;
        package) check_package ;;
        advisories) check_advisories ;;
        peers) check_peers ;;
        *)
            echo "./dev: trust has no part $1, but ${trust_parts[*]}" >&2
            return 2
            ;;
    esac
}

# run_trust [NAME ...]: the long run, or these parts of it; each says what it has counted, and how long it took.
run_trust() {
    build_once
    need_for_tests
    local part begun
    [ $# -gt 0 ] || set -- "${trust_parts[@]}"
    for part in "$@"; do
        begun=$SECONDS
        trust "$part"
        echo "trust: $part held, in $(((SECONDS - begun + 59) / 60)) minutes"
    done
}
