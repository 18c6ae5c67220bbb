#!/bin/sh
# Builds a target with libFuzzer's instrumentation and runs it for so many seconds, from the texts of the repository:
#   fuzz/run.sh parse 600      fuzz/run.sh format 600      fuzz/run.sh messages 600
# What it finds is written to fuzz/artifacts/. Needs a nightly toolchain and a C++ compiler.
set -eu
cd "$(dirname "$0")"
target=$1
seconds=$2
case $target in messages) features="--features server" ;; *) features="" ;; esac
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
  cargo +nightly build --release --quiet --target "$host" --bin "$target" $features
mkdir -p "corpus/$target" "artifacts/$target" seeds
cp ../examples/*.mkb ../stdlib/*.mkb ../tests/check/*.mkb ../tests/toolchain/mistakes/*.mkb seeds/
exec "target/$host/release/$target" "corpus/$target" seeds -dict=mkb.dict -max_total_time="$seconds" -timeout=10 \
  -rss_limit_mb=2048 -max_len=8192 -artifact_prefix="artifacts/$target/" -print_final_stats=1
