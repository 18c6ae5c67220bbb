#!/bin/bash
# Puts together what gpu/check.sh --prebuilt needs on a machine with a GPU, and neither Rust nor NVIDIA's compilers: mkbc, the worker for local
# models, the tests and benchmarks of the kernels, their machine code, and the libraries that programs here are bound to.
#   gpu/bundle.sh [--arch 90] [--debug] [FOLDER]     FOLDER: target/gpu-bundle; beside it FOLDER.tar.xz
# On the other machine: tar -xJf gpu-bundle.tar.xz, then gpu/check.sh --prebuilt gpu-bundle, in a checkout of the same commit.
# The programs run where the C library is this machine's or newer. What exists of the worker is taken as it is (workers/cuda.sh builds it).
set -euo pipefail
cd "$(dirname "$0")/.."
arch=90 profile=release folder=target/gpu-bundle
while [ $# -gt 0 ]; do
  case "$1" in
    --arch) shift; arch=${1:?--arch needs a number} ;;
    --debug) profile=dev ;;
    -*) echo "usage: gpu/bundle.sh [--arch 90] [--debug] [FOLDER]" >&2; exit 2 ;;
    *) folder=$1 ;;
  esac
  shift
done
worker=workers/candle/target/cuda/mkbc-candle
[ -x "$worker" ] || workers/cuda.sh --arch "$arch"
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib" "$folder/cache/mkbc/kernels"

# The program that cargo says it built, without what only a debugger reads, and looking for its libraries beside itself.
put() {
  local program
  program=$(cargo rustc --quiet --profile "$profile" "${@:2}" --message-format=json -- -C 'link-arg=-Wl,-rpath,$ORIGIN/../lib' |
    python3 -c '
import json, sys
made = [json.loads(line).get("executable") for line in sys.stdin if line.startswith("{")]
print([program for program in made if program][-1])')
  strip -o "$folder/bin/$1" "$program"
}
put mkbc --bin mkbc
put kernels --test kernels
put kernels-bench --bench kernels
cp "$worker" "$folder/bin/"
# Every machine has the C library and what comes with it.
ldd "$folder"/bin/* | awk '$3 ~ /^\// { print $3 }' | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+)\.so' |
  xargs -r cp -L -t "$folder/lib"
# The kernels compile themselves when the tests look at them; NVRTC is not needed there any more.
MKBC_KERNELS=$PWD/$folder/cache/mkbc/kernels MKBC_ARCH=sm_$arch "$folder/bin/kernels" --exact machine_code_for_a_bundle --ignored
ls "$folder/cache/mkbc/kernels"/*.cubin >/dev/null
git rev-parse HEAD >"$folder/commit" 2>/dev/null || true
tar -C "$(dirname "$folder")" -cJf "$folder.tar.xz" "$(basename "$folder")"
du -h "$folder.tar.xz" "$folder"/bin/* "$folder"/lib/*
