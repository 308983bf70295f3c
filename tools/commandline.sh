# shellcheck shell=bash
# The command line, and the Python of benches/ that calls it.

# Builds the command line, and tells its path in `program`.
build_convlow() {
    local build=command
    need_openblas || {
        echo "./dev: no OpenBLAS here and it could not be installed; going on with the embedded GEMM" >&2
        build=command_embedded
    }
    cargo_in "$build" build
    program=$(folder_of "$build")/convlow
}

# Builds the command line and runs it.
convlow() {
    local program
    build_convlow
    exec "$program" "$@"
}

# run_demo [ocr|upscale|train|pytorch] ARGUMENTS: a photograph through ONNX Runtime, or through VGG-16's convolutions; or networks
# that learn.
run_demo() {
    case "${1:-}" in
        ocr | upscale)
            provider_environment
            provider_python "integrations/onnxruntime/demos/$1.py" "${@:2}"
            return
            ;;
        train)
            run_training "${@:2}"
            return
            ;;
        pytorch)
            run_torch_demo "${@:2}"
            return
            ;;
    esac
    # Not for the demo itself, but so that the library's own build is ready to be tried next.
    need cmake cmake || echo "./dev: going on without cmake; the demo does not need it" >&2
    convlow demo "$@"
}

# Debian's Fashion-MNIST.
need_fashion() {
    local from=/usr/share/datasets/fashion-mnist
    [ -d $from ] || install_packages dataset-fashion-mnist || {
        echo "./dev: $from is missing and could not be installed; please install the package dataset-fashion-mnist" >&2
        return 1
    }
}

# run_training OPTIONS: builds the example of training as users would, and gives it Fashion-MNIST.
run_training() {
    local build=release data=build/fashion-mnist from=/usr/share/datasets/fashion-mnist file
    need cmake cmake
    need gzip gzip
    need_fashion
    need_openblas || build=release_embedded
    cmake_in "$build" build
    build_c_tests build training
    mkdir -p $data
    for file in "$from"/*.gz; do
        gzip --decompress --stdout "$file" >"$data/$(basename "$file" .gz)"
    done
    build/c_tests/training/training $data "$@"
}

run_bench() {
    if [ $# = 0 ]; then
        set -- --network paper --threads 1,2 --time-limit 200 \
            --json bench.json --csv bench.csv --plot bench.svg --plot bench.png
    fi
    convlow bench "$@"
}

# run_evaluation ARGUMENTS: measures with the command line as it is built for users; to write the page needs no build.
run_evaluation() {
    local program
    need python3 python3
    case " $* " in
        *' --render '* | *' --write-only '*)
            python_module evaluation "$@"
            return
            ;;
    esac
    build_convlow
    python_module evaluation --convlow "$program" "$@"
}

run_fit() {
    local program
    need python3 python3
    build_convlow
    python_module fit --convlow "$program" "$@"
}

# What AUTO computes more slowly than lowering to a GEMM would, among random problems.
test_lowering() {
    local program
    need python3 python3
    build_convlow
    python_module lowering --convlow "$program" "$@"
}

# The evaluation's verdicts, the page against its data, and all of it on tiny problems.
test_evaluation() {
    local folder=target/evaluation
    python_module unittest --quiet evaluation.test_noise evaluation.test_page
    # The table of docs/training.md is that of its data.
    python3 benches/training.py --check
    mkdir -p $folder
    printf 'ic8ih9oc12kh3ph1n"tiny:first*2"\nic8ih9oc12kh1n"tiny:second"\n' >$folder/tiny.txt
    python_module evaluation --convlow "$(folder_of check)/convlow" --network $folder/tiny.txt --seconds 2 --peer-rounds 0 \
        --results $folder --document $folder/tiny.md
    grep -q '^im2col,O(K²CHW),C·Kh·Kw·OH·OW,1,1,1,' $folder/tiny/space.csv
    [ "$(wc -l <$folder/tiny.md)" -le 150 ]
}
