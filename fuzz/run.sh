#!/bin/sh
# Builds a target with libFuzzer's instrumentation and runs it for so many seconds, from the texts of the repository:
#   fuzz/run.sh parse 600      fuzz/run.sh format 600      fuzz/run.sh messages 600
# It ends with how many inputs were tried. What it finds is written to fuzz/artifacts/. Needs a nightly toolchain and a C++ compiler.
set -eu
cd "$(dirname "$0")"
target=$1
seconds=$2
case $target in
  # A conversation starts a server, which reads the library: few bytes are many messages.
  messages) features="--features server" limits="-timeout=60 -rss_limit_mb=4096 -max_len=1024" ;;
  *) features="" limits="-timeout=10 -rss_limit_mb=2048 -max_len=8192 -dict=mkb.dict" ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
  cargo +nightly build --release --quiet --target "$host" --bin "$target" $features
mkdir -p "corpus/$target" "artifacts/$target" seeds
cp ../examples/*.mkb ../stdlib/*.mkb ../tests/check/*.mkb ../tests/toolchain/mistakes/*.mkb seeds/
log="artifacts/$target.log"
ended=0
"target/$host/release/$target" "corpus/$target" seeds $limits -max_total_time="$seconds" \
  -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || ended=$?
tail -n 20 "$log"
echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs tried in $seconds s; $(ls "artifacts/$target" | wc -l) artifacts"
exit "$ended"
