# shellcheck shell=bash
# The builds of tools/builds: cargo and CMake with exactly their settings.

# read_build NAME: the fields of its line, into the caller's variables of these names; the folder as a path.
read_build() {
    local line
    line=$(grep "^$1 " tools/builds) || {
        echo "./dev: tools/builds has no build $1" >&2
        return 1
    }
    read -r _ packages profile features flags target folder _ <<<"$line"
    folder=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}/$folder")
}

# folder_of NAME: where the programs and libraries of the build lie.
folder_of() {
    local packages profile features flags target folder
    read_build "$1"
    [ "$target" != host ] || target=$(rust_host)
    [ "$target" = - ] || folder+=/$target
    echo "$folder/${profile/#dev/debug}"
}

# cargo_in BUILD COMMAND ARGUMENTS: cargo with the settings of the build.
cargo_in() {
    local packages profile features flags target folder
    local environment=() before=() options=(--locked)
    need_compilers
    read_build "$1"
    add_packages
    add_features
    add_flags
    add_target
    case $profile in
        dev) ;;
        *) options+=(--profile "$profile") ;;
    esac
    env "${environment[@]}" "CARGO_TARGET_DIR=$folder" cargo "${before[@]}" "$2" "${options[@]}" "${@:3}"
}

# These add to the variables of cargo_in, by those that it has read.
add_packages() {
    local package
    case $packages in
        \*) options+=(--workspace) ;;
        */Cargo.toml) options+=(--manifest-path "$packages") ;;
        *)
            for package in ${packages//,/ }; do
                options+=(--package "$package")
            done
            ;;
    esac
}

add_features() {
    case $features in
        all | \(*) ;;
        all,*) options+=(--features "${features#all,}") ;;
        none) options+=(--no-default-features) ;;
        *) options+=(--no-default-features --features "$features") ;;
    esac
}

add_flags() {
    local coverage fuzzer
    case $flags in
        -) ;;
        paths)
            # As CMakeLists.txt has it, so that both get the same build: panics name no folder of this machine.
            before+=(--config "target.$(rust_host).rustflags=['--remap-path-prefix=$PWD=convlow', \
'--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo']")
            ;;
        address)
            # The toolchain ships the sanitizer's runtime; only its flag is not stable.
            environment+=(RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address)
            ;;
        fuzzer)
            # As cargo-fuzz builds, which wants nightly's cargo and is not needed.
            fuzzer="--cfg fuzzing -Cpasses=sancov-module -Zsanitizer=address -Cdebug-assertions"
            for coverage in level=4 inline-8bit-counters pc-table trace-compares stack-depth; do
                fuzzer+=" -Cllvm-args=-sanitizer-coverage-$coverage"
            done
            environment+=(RUSTC_BOOTSTRAP=1 "RUSTFLAGS=$fuzzer")
            ;;
        loom) environment+=("RUSTFLAGS=--cfg convlow_loom" CARGO_PROFILE_DEV_OPT_LEVEL=1) ;;
        unoptimised) environment+=(CARGO_PROFILE_DEV_OPT_LEVEL=0) ;;
        *)
            echo "./dev: tools/builds.sh knows no flags $flags" >&2
            return 1
            ;;
    esac
}

add_target() {
    local variable
    case $target in
        -) return ;;
        host) target=$(rust_host) ;;
        *)
            environment+=("RUSTC=$(rustc_for "$target")")
            variable=${target^^}
            variable=CARGO_TARGET_${variable//-/_}
            ;;
    esac
    options+=(--target "$target")
    case $target in
        aarch64-*)
            # The whole path, as CMake names it: another linker is another build to cargo.
            environment+=("${variable}_LINKER=$(command -v aarch64-linux-gnu-gcc)"
                "${variable}_RUNNER=qemu-aarch64 -L /usr/aarch64-linux-gnu")
            ;;
    esac
}

# cmake_in BUILD FOLDER ARGUMENTS: has CMake configure the folder, so that its cargo makes the build.
cmake_in() {
    local packages profile features flags target folder part
    local options=()
    read_build "$1"
    case $profile in
        dev) options+=(-DCMAKE_BUILD_TYPE=Debug) ;;
        release) options+=(-DCMAKE_BUILD_TYPE=Release) ;;
    esac
    for part in gemm mec winograd training f64 portable avx512; do
        options+=("-DCONVLOW_${part^^}=$(has_feature $part)")
    done
    options+=("-DCONVLOW_BLAS=$(has_feature openblas)" "-DCONVLOW_CARGO_DIR=$folder" -DCONVLOW_LIKE_CARGO=ON)
    [ "$flags" != address ] || options+=(-DCONVLOW_SANITIZE=ON)
    case $target in
        aarch64-*)
            options+=(-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 "-DCONVLOW_RUSTC=$(rustc_for "$target")"
                -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
                "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu")
            ;;
        *-musl)
            options+=("-DCONVLOW_RUST_TARGET=$target" "-DCONVLOW_RUSTC=$(rustc_for "$target")" -DCMAKE_C_COMPILER=musl-gcc
                -DCMAKE_EXE_LINKER_FLAGS=-static -DBUILD_SHARED_LIBS=OFF)
            ;;
    esac
    cmake --log-level=WARNING -S . -B "$2" "${options[@]}" "${@:3}"
}

# has_feature NAME: ON or OFF, by the `features` that were read.
has_feature() {
    case ,$features, in
        *,all,* | *,"$1",*) echo ON ;;
        *) echo OFF ;;
    esac
}

# check_builds: no build of the inner loops stands in tools/builds twice, and each line is somebody's.
check_builds() {
    awk '
        function kernels(features,    parts, n, at, found) {
            gsub(/[()]/, "", features)
            if (features ~ /^all(,|$)/) return "avx512 f64 portable winograd "
            n = split(features, parts, ",")
            for (at = 1; at <= n; at++) has[parts[at]] = NR
            found = ""
            for (at = 1; at <= 4; at++) if (has[own[at]] == NR) found = found own[at] " "
            return found
        }
        BEGIN { split("avx512 f64 portable winograd", own, " ") }
        /^#/ || NF == 0 { next }
        NF < 8 { print "tools/builds:" NR ": " $1 " has " NF " fields"; wrong = 1; next }
        $1 in named { print "tools/builds:" NR ": there is another " $1; wrong = 1 }
        { named[$1] = 1; builds++; key = kernels($4) "|" $3 "|" $5 "|" $6 }
        key in folder && folder[key] != $7 {
            print "tools/builds:" NR ": " $1 " compiles the same inner loops as " name[key] ", in another folder"
            wrong = 1
        }
        !(key in folder) { folder[key] = $7; name[key] = $1; loops++ }
        END {
            if (wrong) exit 1
            print "builds: " builds " in the table, the inner loops compiled " loops " times in all of them"
        }
    ' tools/builds
    local name rest
    while read -r name rest; do
        grep -qw "$name" tools/*.sh benches/peers/run || [[ $rest = *" bytes: "* ]] || {
            echo "tools/builds: nobody asks for $name" >&2
            return 1
        }
    done < <(grep -v '^#' tools/builds)
}

# check_features: what the inner loops are compiled with has the same features in a build of the library alone as beside all
# other packages. Otherwise cargo would compile them anew for each choice of packages.
check_features() {
    local package missing
    for package in convlow-kernels convlow; do
        missing=$(comm -23 <(features_of --package $package --edges normal) <(features_of --workspace --edges normal,dev))
        [ -z "$missing" ] || {
            echo "./dev: other packages ask for more features of these than $package does, whose manifest should name them:" >&2
            echo "$missing" >&2
            return 1
        }
    done
}

# features_of ARGUMENTS: each crate that cargo tree finds, and its features.
features_of() {
    cargo tree --quiet --locked --all-features --prefix none --no-dedupe --format '{p} {f}' "$@" |
        sed 's/ ([^)]*)//g' | sort --unique
}
