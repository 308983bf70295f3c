# shellcheck shell=bash
# The long run.

# The parts, by name, and what each calls.
trust_parts=(fuzz descriptors floats models provider pytorch pool races hosts sanitized arm cross static vendored packages sizes package advisories peers lowering)

trust_in() {
    case "$1" in
        fuzz) test_fuzz "${CONVLOW_FUZZ_SECONDS:-600}" ;;
        descriptors) test_random_descriptors 1000000 ;;
        floats) test_every_float ;;
        models) test_provider_models ;;
        provider) test_provider_memory ;;
        pytorch) test_torch ;;
        pool) test_pool_models ;;
        races) test_races ;;
        hosts) test_c_often ;;
        sanitized) test_sanitized_threads ;;
        arm) test_arm register_tile:: ;;
        cross) test_cross_build ;;
        static) test_static_build ;;
        vendored) test_vendored_build ;;
        packages) test_packages ;;
        sizes) report_sizes ;;
        package) check_package ;;
        advisories) check_advisories ;;
        peers) test_peers ;;
        lowering) test_lowering ;;
    esac
}

# run_trust [NAME ...]: the long run, or these parts of it.
run_trust() {
    local part
    [ $# -gt 0 ] || set -- "${trust_parts[@]}"
    for part in "$@"; do
        [[ " ${trust_parts[*]} " = *" $part "* ]] || {
            echo "./dev: trust has no part $part, but ${trust_parts[*]}" >&2
            return 2
        }
    done
    need_for_tests
    begin_stages trust
    for part in "$@"; do
        stage "$part" trust_in "$part"
    done
}

# The activations of every float32.
test_every_float() {
    CONVLOW_TEST_EVERY_FLOAT=1 cargo_in check test --lib -- --nocapture float32_is_near_float64
    echo "floats: all 4294967296"
}

# The comparison with other engines, on tiny problems.
test_peers() {
    need_venv
    benches/peers/selftest
}
