# shellcheck shell=bash
# The bytes of builds with fewer parts.

# check_auto_bytes BYTES: the library with nothing but what AUTO needs has no more than it may.
check_auto_bytes() {
    local most=1048576
    if [ "$(uname -m)" = x86_64 ] && [ "$1" -gt $most ]; then
        echo "./dev: AUTO only takes $1 bytes, more than $most" >&2
        return 1
    fi
}

# bytes_with FEATURES: those of the stripped shared library.
bytes_with() {
    cargo rustc --quiet --profile small --lib --crate-type cdylib --locked --no-default-features --features "$1" >&2
    stat -c %s "${CARGO_TARGET_DIR:-target}/small/libconvlow.so"
}

# Builds the library with every choice of parts that the README lists, writes their bytes there, and fails if AUTO's is too
# large.
report_sizes() {
    need_for_tests
    local root=${CARGO_TARGET_DIR:-target} table variant name features bytes count=0 started=$SECONDS auto
    auto=$(auto_parts)
    mkdir -p "$root"
    table=$root/sizes.md
    printf '\n| build | features | bytes |\n|---|---|---:|\n' >"$table"
    for variant in "everything=gemm,openblas,mec,$auto" "without BLAS=gemm,mec,$auto" \
        "what AUTO takes=$auto" "the same without AVX-512=winograd,f64,portable" \
        "the same without float64=winograd,portable,avx512" "AUTO only=" ; do
        name=${variant%%=*} features=${variant#*=}
        bytes=$(bytes_with "$features")
        say "$name: $bytes bytes"
        printf '| %s | %s | %s |\n' "$name" "${features//,/, }" "$(printf %s "$bytes" | sed ':a;s/\B[0-9]\{3\}\b/,&/;ta')" >>"$table"
        count=$((count + 1))
    done
    printf '\n' >>"$table"
    awk -v table="$table" '/^<!-- sizes: /{print; while ((getline line < table) > 0) print line; inside = 1}
        /^<!-- end of sizes -->/{inside = 0} !inside' README.md >"$root/readme.md"
    cp "$root/readme.md" README.md
    check_auto_bytes "$bytes"
    echo "sizes: $count builds, AUTO only of $bytes bytes, in $(((SECONDS - started) / 60)) minutes"
}

# The smallest build: its size, lints, and the tests of what AUTO takes. It is part of the short run.
check_smallest() {
    need_for_tests
    local bytes started=$SECONDS
    say "the library with nothing but what AUTO needs"
    bytes=$(bytes_with "")
    check_auto_bytes "$bytes"
    cargo clippy --quiet --locked --all-targets --no-default-features -- -D warnings
    cargo test --quiet --locked --no-default-features --lib --test parts --test threads --test register_tile \
        --test depthwise
    echo "smallest: $bytes bytes, 4 test programs and the library's own, in $((SECONDS - started)) seconds"
}
