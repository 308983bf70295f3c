# shellcheck shell=bash
# Packages, and builds from them.

# The packaged library builds from its package alone, and all crates build with the oldest Rust that they name. Clippy's
# incompatible_msrv reads the same in every run; a compiler that is that old has the last word.
check_package() {
    need_openblas
    cargo_in unoptimised package --quiet --allow-dirty
    local manifest version builds=0
    for manifest in Cargo.toml integrations/*/Cargo.toml; do
        version=$(oldest_rust "$manifest")
        if command -v rustup >/dev/null && rustup run "$version" cargo --version >/dev/null 2>&1; then
            CARGO_TARGET_DIR="target/rust-$version" rustup run "$version" cargo check --quiet --locked \
                --manifest-path "$manifest" --all-targets
            builds=$((builds + 1))
        else
            echo "$manifest: NOT CHECKED with Rust $version, which is not installed (rustup toolchain install $version)"
        fi
    done
    echo "package: 1 built from its package, $builds of 2 with the oldest Rust"
}

# A source tree that holds all its crates builds where there is no network and nothing that cargo keeps.
test_vendored_build() {
    local root=$PWD/target/vendored
    rm -rf "$root"
    mkdir -p "$root/source" "$root/home"
    git ls-files -z | xargs -0 cp --parents -t "$root/source"
    (cd "$root/source" && cargo vendor --locked >>.cargo/config.toml)
    (
        # The fastest build serves, as in tools/builds: what it computes is tested elsewhere.
        export CARGO_HOME=$root/home CARGO_NET_OFFLINE=true CARGO_PROFILE_DEV_OPT_LEVEL=0
        cmake -S "$root/source" -B "$root/build" -DCMAKE_BUILD_TYPE=Debug
        cmake --build "$root/build" -j "$(nproc)"
    )
    CONVLOW_TEST_QUICK=1 run_c_tests "$root/build" -R '^first_steps$'
    [ ! -e "$root/home/registry" ] || {
        echo "./dev: the build has asked for crates that the source tree does not hold" >&2
        return 1
    }
    echo "offline build: $(find "$root/source/vendor" -mindepth 1 -maxdepth 1 | wc -l) crates vendored"
}

# try_packages FOLDER: the Debian packages in the folder in a fresh Debian of this release: they install with what they
# need, programs build with them and run, and once removed they have left nothing behind.
try_packages() {
    need mmdebstrap mmdebstrap
    local release folder=$1
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    cp c_tests/consumer/main.* "$folder"
    cp tools/try_packages "$folder"
    mkdir -p target/tmp
    # shellcheck disable=SC2016 # mmdebstrap's own shell knows $1.
    TMPDIR=$PWD/target/tmp mmdebstrap --quiet --variant=minbase \
        --customize-hook="mkdir \"\$1/tmp/packages\" && cp '$folder'/* \"\$1/tmp/packages\"" \
        --customize-hook='chroot "$1" sh /tmp/packages/try_packages' "$release" /dev/null
    echo "packages: $(find "$folder" -name '*.deb' | wc -l) installed in a fresh $release, 3 programs run, nothing left behind"
}

# Packs and tries the Debian packages.
test_packages() {
    need dpkg-shlibdeps dpkg-dev
    local root=$PWD/target/debian
    rm -rf "$root"
    cmake_in release "$root/build" -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_TESTING=OFF -DCONVLOW_TOOL=ON
    cmake --build "$root/build" -j "$(nproc)"
    cpack --config "$root/build/CPackConfig.cmake" -B "$root/packages"
    rm -rf "$root/packages/_CPack_Packages"
    try_packages "$root/packages"
}
