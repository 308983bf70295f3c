# shellcheck shell=bash
# What the other files use: messages, packages of the system, the Rust toolchain, virtual environments of Python.

say() { printf '\n== [%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }

# Installs Debian packages, as root or through sudo; fails where neither is to be had.
install_packages() {
    command -v apt-get >/dev/null || return 1
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 1
        sudo=(sudo)
    fi
    say "installing $*"
    "${sudo[@]}" apt-get update -qq >&2 || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# need COMMAND PACKAGE: the command is there, or its package gets installed.
need() {
    command -v "$1" >/dev/null || install_packages "$2" || {
        echo "./dev: $1 is missing and could not be installed; please install the package $2" >&2
        return 1
    }
}

have_openblas() {
    echo 'int main(void) { return 0; }' | cc -x c - -lopenblas -o /dev/null 2>/dev/null
}

# The system's OpenBLAS is there, or gets installed.
need_openblas() {
    need_compilers
    have_openblas || { install_packages libopenblas-dev && have_openblas; }
}

# Compilers and linkers for Rust, C and C++, and what CMake builds with; a small Debian has none of them.
need_compilers() {
    need c++ g++
    need make make
    command -v cargo >/dev/null || {
        echo "./dev: cargo is missing; please install a Rust toolchain, $(oldest_rust Cargo.toml) or newer" >&2
        exit 1
    }
}

# The triple that the toolchain compiles for by itself.
rust_host() {
    rustc -vV | sed -n 's/^host: //p'
}

# oldest_rust MANIFEST: the Rust that it says it needs.
oldest_rust() {
    sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$1"
}

# need_component NAME: a part of the Rust toolchain that minimal installations leave out.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2" >&2 || {
        echo "./dev: cargo $1 is missing and could not be installed" >&2
        exit 1
    }
}

# What every test needs.
need_for_tests() {
    need_compilers
    need_component fmt rustfmt
    need_component clippy clippy
    need cmake cmake
    need clang-format clang-format
    need_openblas || {
        echo "./dev: the tests need OpenBLAS (package libopenblas-dev), which could not be installed" >&2
        exit 1
    }
}

# Python, with what makes virtual environments.
need_venv() {
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
}

# virtual_environment FOLDER ARGUMENTS: a new virtual environment of Python, and what pip installs there.
virtual_environment() {
    need_venv
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"
}

# python_module MODULE ARGUMENTS: a module of benches/.
python_module() {
    PYTHONPATH=benches:benches/peers PYTHONDONTWRITEBYTECODE=1 python3 -m "$@"
}
