#!/usr/bin/env bash
# headers.sh FOLDER: puts ONNX Runtime's C headers into the folder, or says why it cannot.
#
# No wheel and no crate has them, so they come out of a package for Unity, of which the rest is thrown away. It is the nearest to
# the ONNX Runtime of requirements.txt that there is: version 1.29. Headers of later versions add to the ends of their structs.
set -euo pipefail

package=com.github.asus4.onnxruntime version=0.4.9
inside=package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64_x86_64-simulator/onnxruntime.framework/Headers
sums='acc0cf4b3f28d39339c76770d76164bb7a0637dc89f5fde764b4017b632f6743  onnxruntime_c_api.h
e6c986c9e98583f8113b2c6bc3864814883b806d501cf24da4d239c45753e235  onnxruntime_ep_c_api.h
5ce3b054e798eced8d14f5b86e98692fd33470463f96194ce0700a2d53dd8721  onnxruntime_error_code.h'

folder=$1
are_here() {
    (cd "$folder" && sha256sum --check --status <<<"$sums") 2>/dev/null
}

are_here && exit
command -v npm >/dev/null || {
    echo "npm is missing" >&2
    exit 1
}
mkdir -p "$folder"
packed=$(mktemp -d "$folder/XXXXXX")
trap 'rm -rf "$packed"' EXIT
npm pack --silent --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=1000 \
    --pack-destination "$packed" "$package@$version" >/dev/null || {
    echo "$package $version could not be fetched" >&2
    exit 1
}
while read -r _ file; do
    echo "$inside/$file"
done <<<"$sums" >"$packed/files"
tar -xzf "$packed/$package-$version.tgz" -C "$folder" --strip-components=7 --files-from "$packed/files"
are_here || {
    echo "the headers of $package $version are not the expected ones" >&2
    exit 1
}
