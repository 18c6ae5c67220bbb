#!/bin/bash
# Builds the worker for local models with CUDA, also on a machine without CUDA and without a GPU: NVIDIA's compiler comes from PyPI.
#   workers/cuda.sh [--arch 90] [--debug]     -> workers/candle/target/cuda/mkbc-candle
#   workers/cuda.sh --toolkit                 only brings the compiler together, and prints its folder
# CUDA_HOME names a toolkit to use instead. The program opens CUDA's libraries when a GPU is asked for: it starts without them, and says what
# is missing. Machine code is for one architecture (90: H100 and H200; 80: A100; 120: RTX 50), which the GPU must have.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=90
profile=release
only_toolkit=
while [ $# -gt 0 ]; do
  case "$1" in
    --arch) shift; arch=${1:?--arch needs a number} ;;
    --debug) profile=dev ;;
    --toolkit) only_toolkit=1 ;;
    *) echo "usage: workers/cuda.sh [--arch 90] [--debug] | --toolkit" >&2; exit 2 ;;
  esac
  shift
done

# Versions of one release, 13.0: drivers from 580 on load what it makes. 420 MB.
packages="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mkbc/cuda
if [ -z "${CUDA_HOME:-}" ]; then
  if [ "$(cat "$cache/packages.txt" 2>/dev/null || true)" != "$packages" ]; then
    echo "cuda.sh: NVIDIA's compiler into $cache" >&2
    rm -rf "$cache"
    # shellcheck disable=SC2086 # a list of packages
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$cache" $packages >&2
    echo "$packages" >"$cache/packages.txt"
  fi
  CUDA_HOME=$cache/nvidia/cu13
fi
[ -x "$CUDA_HOME/bin/nvcc" ] || { echo "cuda.sh: there is no compiler in $CUDA_HOME/bin" >&2; exit 1; }
[ -z "$only_toolkit" ] || { echo "$CUDA_HOME"; exit 0; }

here=$PWD/workers/candle
target=$here/target/cuda
mkdir -p "$target/link" "$target/worker"
# candle's kernels for mixtures of experts ask for CUDA's run-time library by the name of the shared one; only the static one is offered.
runtime=$(ls "$CUDA_HOME"/lib*/libcudart_static.a | head -1)
ln -sfn "$runtime" "$target/link/libcudart.a"

# candle binds the program to CUDA's libraries. Here they are opened when needed, which is another feature of the crate that calls them: a
# copy of candle-core that differs in that one word.
cargo fetch --quiet --locked --manifest-path workers/candle/Cargo.toml
version=$(sed -n 's/^candle-core = "=\(.*\)"$/\1/p' workers/candle/Cargo.toml)
crate=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-core-"$version" | head -1)
if ! cmp -s "$crate/Cargo.lock" "$target/candle-core/Cargo.lock"; then
  rm -rf "$target/candle-core"
  cp -r "$crate" "$target/candle-core"
  sed -i 's/"dynamic-linking"/"fallback-dynamic-loading"/' "$target/candle-core/Cargo.toml"
  grep -q '"fallback-dynamic-loading"' "$target/candle-core/Cargo.toml"
fi
# The worker as it is, but for where candle-core comes from. Written only where it changed, so that nothing is built twice.
put() { cat >"$1.new"; cmp -s "$1.new" "$1" && rm "$1.new" || mv "$1.new" "$1"; }
ln -sfn "$here/src" "$target/worker/src"
ln -sfn "$here/tests" "$target/worker/tests"
{ cat workers/candle/Cargo.toml; printf '\n[patch.crates-io]\ncandle-core = { path = "../candle-core" }\n'; } | put "$target/worker/Cargo.toml"
awk '/^\[\[package\]\]/ { ours = 0 } $0 == "name = \"candle-core\"" { ours = 1 } !(ours && /^(source|checksum) = /)' \
  workers/candle/Cargo.lock | put "$target/worker/Cargo.lock"

export CUDA_HOME CUDA_COMPUTE_CAP=$arch PATH=$CUDA_HOME/bin:$PATH
export CUDA_PATH=$CUDA_HOME CUDA_TOOLKIT_ROOT_DIR=$CUDA_HOME NVCC=$CUDA_HOME/bin/nvcc
export LIBRARY_PATH=$target/link${LIBRARY_PATH:+:$LIBRARY_PATH}
cargo build --locked --features cuda --profile "$profile" --bin mkbc-candle --manifest-path "$target/worker/Cargo.toml" --target-dir "$target/build"
folder=$([ "$profile" = dev ] && echo debug || echo release)
strip -o "$target/mkbc-candle" "$target/build/$folder/mkbc-candle"

# Held against what it promises: no library of CUDA is needed to start, and a GPU that is not there is said.
if readelf -d "$target/mkbc-candle" | grep NEEDED | grep -iE 'cuda|cublas|curand|nvrtc'; then
  echo "cuda.sh: the program is bound to the libraries above, and does not start without them" >&2
  exit 1
fi
"$target/mkbc-candle" --version
said=$("$target/mkbc-candle" check workers/candle/tests/fixtures/bert --device gpu 2>&1) || true
echo "on this machine: $said" | head -3
ls -l "$target/mkbc-candle" | awk '{ printf "%s: %.1f MB\n", $NF, $5 / 1e6 }'
