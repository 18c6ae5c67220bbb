#!/bin/sh
# Builds the playground into playground/dist: the core as WebAssembly, the page, and the examples. Any static server can serve it:
#   playground/build.sh && python3 -m http.server --directory playground/dist
#
# Wanted is a Rust with the target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`). Where it is missing, Debian's
# Rust builds the standard library from its source: `apt-get install rustc-web cargo-web rust-web-src`.
set -eu
cd "$(dirname "$0")"
target=wasm32-unknown-unknown

if [ -d "$(rustc --print target-libdir --target $target 2>/dev/null)" ]; then
  cargo build --release --target $target
elif [ -d /usr/lib/rustlib/src/rust/library ] && [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ]; then
  # Debian's Rust has no linker for WebAssembly: rustup's toolchain has one, and so has Debian's package lld.
  own=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld
  [ -x "$own" ] || own=$(command -v wasm-ld) || { echo "build.sh: no linker: apt-get install lld" >&2; exit 1; }
  RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$own \
    /usr/bin/cargo build --release --target $target -Zbuild-std=std,panic_abort
else
  echo "build.sh: no Rust for $target: rustup target add $target, or apt-get install rustc-web cargo-web rust-web-src" >&2
  exit 1
fi

rm -rf dist
mkdir dist
cp page/* dist/
cp target/$target/release/mkbc_playground.wasm dist/core.wasm
python3 - ../examples/*.mkb examples/*.mkb >dist/examples.json <<'PYTHON'
import json, pathlib, sys
print(json.dumps({path.stem: path.read_text() for path in map(pathlib.Path, sys.argv[1:])}))
PYTHON
printf 'core.wasm: %s bytes, %s with gzip; the page around it: %s bytes\n' \
  "$(wc -c <dist/core.wasm)" "$(gzip -9c dist/core.wasm | wc -c)" "$(cat page/* | wc -c)"
