# shellcheck shell=bash
# Compilers for what the toolchain at hand does not compile for: ARM, musl, and a standard library that ThreadSanitizer sees.

# debian_rustc FOLDER: the path of the rustc of Debian's packages, with what it needs for ARM and the source of Rust's
# standard library, all of which are put into the folder and nowhere else.
debian_rustc() {
    local root=$1 compiler llvm package version
    if [ ! -x "$root/rustc" ]; then
        mkdir -p "$root/debs" "$root/lists/partial" "$root/cache/archives/partial"
        local options=(-qq -o "Dir::State::Lists=$root/lists" -o "Dir::Cache=$root/cache" -o APT::Sandbox::User=root
            -o APT::Architectures::=amd64 -o APT::Architectures::=arm64)
        apt-get "${options[@]}" update >&2 || return 1
        compiler=$(apt-cache "${options[@]}" depends libstd-rust-web-dev | grep -oEm 1 'libstd-rust-web-[0-9.]+')
        llvm=$(apt-cache "${options[@]}" depends "$compiler" | grep -oEm 1 'libllvm[0-9]+')
        (cd "$root/debs" && apt-get "${options[@]}" download rustc-web "$compiler" "$llvm" \
            libstd-rust-web-dev libstd-rust-web-dev:arm64 rust-web-src libunwind-14-dev) >&2 || return 1
        for package in "$root"/debs/*.deb; do
            dpkg -x "$package" "$root" || return 1
        done
        # It finds its own libraries, and what it builds does not get to see them.
        # shellcheck disable=SC2016 # The script that is written expands the rest.
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%q:$LD_LIBRARY_PATH exec %q "$@"\n' "$root/usr/lib/x86_64-linux-gnu:$(
            find "$root/usr/lib" -maxdepth 2 -path '*llvm*/lib' | head -n 1
        )" "$root/usr/bin/rustc" >"$root/rustc"
        chmod +x "$root/rustc"
    fi
    # Debian's first one is older than what the crates need; that of its security updates is not.
    version=$("$root/rustc" --version | cut -d ' ' -f 2)
    printf '%s\n' "$(oldest_rust Cargo.toml)" "$version" | sort --check=quiet --version-sort || {
        echo "./dev: Debian's Rust $version is too old; its security updates have a newer one" >&2
        return 1
    }
    echo "$root/rustc"
}

# has_target COMPILER TARGET: the compiler has a standard library for the target.
has_target() {
    [ -d "$("$1" --print sysroot)/lib/rustlib/$2/lib" ]
}

# rustc_for TARGET: the path of a rustc that compiles for the target: the toolchain's own, if it can, else Debian's.
rustc_for() {
    local root=$PWD/target/rust rustc
    if has_target rustc "$1"; then
        command -v rustc
        return
    fi
    rustc=$(debian_rustc "$root") || return 1
    has_target "$rustc" "$1" || case $1 in
        *-musl) build_musl_std "$root" "$1" ;;
        *-gnutsan) build_tsan_std "$root" "$1" ;;
        *) false ;;
    esac || return 1
    echo "$rustc"
}

# build_std FOLDER TARGET: compiles Rust's standard library for the target from its source in the folder.
build_std() {
    RUSTC=$1/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zforce-unstable-if-unmarked CARGO_TARGET_DIR=$1/std \
        cargo build --quiet --release --locked --target "$2" \
        --manifest-path "$1/usr/lib/rustlib/src/rust/library/sysroot/Cargo.toml" >&2
}

# add_std FOLDER TARGET: puts it, and what already lies in std/lib, where the rustc in the folder looks for it.
add_std() {
    cp "$1/std/$2/release/deps/"*.rlib "$1/std/lib" && mkdir -p "$1/usr/lib/rustlib/$2" && mv "$1/std/lib" "$1/usr/lib/rustlib/$2/lib"
}

# build_tsan_std FOLDER TARGET: a standard library whose own threads and locks ThreadSanitizer sees, too. Its runtime is
# that of the toolchain, as Debian's has none.
build_tsan_std() {
    build_std "$1" "$2" && mkdir -p "$1/std/lib" && cp "$(rustc --print target-libdir)"/librustc-*_rt.tsan.a "$1/std/lib" &&
        add_std "$1" "$2"
}

# build_musl_std FOLDER TARGET: gives the rustc in the folder a standard library for musl, as nobody packs one.
build_musl_std() {
    local root=$1
    build_std "$1" "$2" || return 1
    # The unwinder is that of LLVM, which needs only one function of glibc's.
    mkdir -p "$root/std/unwind" "$root/std/lib/self-contained"
    cp "$root/usr/lib/x86_64-linux-gnu/libunwind.a" "$root/std/lib/self-contained/"
    musl-gcc -x c -O2 -c -o "$root/std/unwind/checked.o" - <<'SOURCE' || return 1
#include <stdarg.h>
#include <stdio.h>
int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    int length = vfprintf(file, format, arguments);
    va_end(arguments);
    return length;
}
SOURCE
    ar r "$root/std/lib/self-contained/libunwind.a" "$root/std/unwind/checked.o" 2>/dev/null || return 1
    add_std "$1" "$2"
}

# need_arm: what compiles for ARM and runs it.
need_arm() {
    rustc_for aarch64-unknown-linux-gnu >/dev/null || {
        echo "./dev: ARM is NOT TESTED: there is no Rust for it; please add the toolchain's target aarch64-unknown-linux-gnu" >&2
        return 1
    }
    need qemu-aarch64 qemu-user
    need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
    [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || install_packages libc6-dev-arm64-cross
}
