# shellcheck shell=bash
# The bytes of builds with fewer parts, and the tests of the smallest.

# bytes_in BUILD: those of the stripped shared library.
bytes_in() {
    cargo_in "$1" rustc --quiet --lib --crate-type cdylib >&2
    stat -c %s "$(folder_of "$1")/libconvlow.so"
}

# check_auto_bytes BYTES: the library with nothing but what AUTO needs has no more than it may.
check_auto_bytes() {
    local most=1048576
    if [ "$(uname -m)" = x86_64 ] && [ "$1" -gt $most ]; then
        echo "./dev: AUTO only takes $1 bytes, more than $most" >&2
        return 1
    fi
}

# with_commas NUMBER
with_commas() {
    sed ':a;s/\B[0-9]\{3\}\b/,&/;ta' <<<"$1"
}

# Builds the library with every choice of parts that docs/building.md lists, writes their bytes there, and fails if AUTO's is
# too large.
report_sizes() {
    local table=target/sizes.md document=docs/building.md build features title bytes count=0
    mkdir -p target
    printf '\n| build | features | bytes |\n|---|---|---:|\n' >$table
    while read -r build _ _ features _ _ _ _ title; do
        bytes=$(bytes_in "$build" </dev/null)
        case $features in
            all) features=$(sed -n 's/^default = \[\(.*\)\]$/\1/p' Cargo.toml | tr -d '" ') ;;
            none) features= ;;
        esac
        echo "$title: $bytes bytes"
        printf '| %s | %s | %s |\n' "$title" "${features//,/, }" "$(with_commas "$bytes")" >>$table
        count=$((count + 1))
    done < <(grep ' bytes: ' tools/builds)
    printf '\n' >>$table
    awk -v table="$table" '/^<!-- sizes: /{print; while ((getline line < table) > 0) print line; inside = 1}
        /^<!-- end of sizes -->/{inside = 0} !inside' "$document" >target/building.md
    cp target/building.md "$document"
    check_auto_bytes "$bytes" # the last line's
    echo "sizes: $count builds, AUTO only of $bytes bytes"
}

# The smallest build: its size, lints, and the tests of what AUTO takes.
test_smallest() {
    local bytes
    bytes=$(bytes_in small)
    check_auto_bytes "$bytes"
    cargo_in minimal clippy --quiet --all-targets -- -D warnings
    cargo_in minimal test --quiet --lib
    cargo_in minimal test --test computing -- --show-output parts:: threads:: register_tile:: depthwise::
    echo "smallest: $bytes bytes"
}
