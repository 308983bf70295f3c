# shellcheck shell=bash
# The command line, and the Python of benches/ that calls it.

# Builds the command line.
build_convlow() {
    need_rust
    local blas
    blas=$(blas_feature)
    cargo build --release --locked --package convlow-cli --no-default-features --features "${blas}gemm,mec,$(auto_parts)"
}

# Builds the command line and runs it.
convlow() {
    build_convlow
    exec target/release/convlow "$@"
}

# python_module MODULE ARGUMENTS: a module of benches/.
python_module() {
    PYTHONPATH=benches:benches/peers PYTHONDONTWRITEBYTECODE=1 python3 -m "$@"
}

# evaluation PROGRAM ARGUMENTS: measures with this build of the command line.
evaluation() {
    python_module evaluation --convlow "$@"
}

# run_demo [ocr|upscale] ARGUMENTS: a photograph through ONNX Runtime, or through VGG-16's convolutions.
run_demo() {
    case "${1:-}" in
        ocr | upscale)
            provider_environment
            provider_python "integrations/onnxruntime/demos/$1.py" "${@:2}"
            return
            ;;
    esac
    # Not for the demo itself, but so that the library's own build is ready to be tried next.
    need cmake cmake || echo "./dev: going on without cmake; the demo does not need it" >&2
    convlow demo "$@"
}

run_bench() {
    if [ $# = 0 ]; then
        set -- --network paper --threads 1,2 --time-limit 200 \
            --json bench.json --csv bench.csv --plot bench.svg --plot bench.png
    fi
    convlow bench "$@"
}

run_evaluation() {
    need python3 python3
    build_convlow
    evaluation "$PWD/target/release/convlow" "$@"
}

run_fit() {
    need python3 python3
    build_convlow
    python_module fit --convlow "$PWD/target/release/convlow" "$@"
}
