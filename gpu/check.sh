#!/bin/bash
# Runs on a machine with an NVIDIA GPU what can be run nowhere else. Prints one table, writes JSON after every part. Needs no network.
#   gpu/check.sh                      everything, built here (what that needs: --dry-run)
#   gpu/check.sh --prebuilt FOLDER    with the programs of gpu/bundle.sh: the machine needs no Rust and no compiler of NVIDIA's
#   gpu/check.sh --dry-run            the parts, how long each may take, and what they need
# Options: --only A,B   --leave-out A,B   --within SECONDS (all parts together)   --out FOLDER (target/gpu-check)
#          --small (tiny models: to try the script itself)
# A part that fails, takes too long or lacks something stops none of the others.
# Status: 0 nothing failed, 1 something did, 2 wrong use, 3 there is no GPU here.
set -uo pipefail
cd "$(dirname "$0")/.."
out=target/gpu-check prebuilt='' only='' leave_out='' within='' dry='' small=''
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry=1 ;;
    --small) small=1 ;;
    --out | --prebuilt | --only | --leave-out | --within)
      [ $# -gt 1 ] || { echo "gpu/check.sh: $1 needs a value" >&2; exit 2; }
      name=${1#--}
      printf -v "${name//-/_}" %s "$2"
      shift ;;
    *) echo "usage: gpu/check.sh [--prebuilt FOLDER] [--only A,B] [--leave-out A,B] [--within SECONDS] [--out FOLDER] [--small] [--dry-run]" >&2
       exit 2 ;;
  esac
  shift
done

# NAME | most seconds | what it shows. They run in this order: what matters most first.
parts=(
  "build|1500|mkbc, the worker, tests and benchmarks compile"
  "inventory|30|the driver and the devices answer"
  "kernels|150|kernels agree with their twins on this GPU"
  "agree|90|local models compute on the GPU what they do on a processor, and what transformers does"
  "benchmarks|200|kernels beside their twins on 1 and 2 cores; 1,000,000 x 768 vectors against the memory's bandwidth"
  "llama|240|decoded tokens a second of Llama 3.1 8B's shape in bf16: the worker beside transformers"
  "texts|120|a plan on the GPU, profiled here: what it takes and what was predicted"
  "whisper|200|Whisper large-v3's shape: the worker beside transformers"
  "video|150|a plan whose scenes and frames are found on the GPU, and the same on a core"
  "server|200|a plan over a model server that mkbc starts on the GPU"
)
# Status of a part that lacks something here; the last line of its log says what.
export LACKS=77
lacks() { echo "$1"; exit "$LACKS"; }
export -f lacks

export CARGO_NET_OFFLINE=true PREBUILT='' OUT SMALL=$small
if [ -n "$prebuilt" ]; then
  PREBUILT=$(cd "$prebuilt" 2>/dev/null && pwd) || { echo "gpu/check.sh: there is no folder $prebuilt" >&2; exit 2; }
  export MKBC=$PREBUILT/bin/mkbc MKBC_CANDLE=${MKBC_CANDLE:-$PREBUILT/bin/mkbc-candle} XDG_CACHE_HOME=${XDG_CACHE_HOME:-$PREBUILT/cache}
  leave_out=$leave_out,build
else
  export MKBC=${MKBC:-$PWD/target/release/mkbc} MKBC_CANDLE=${MKBC_CANDLE:-$PWD/workers/candle/target/cuda/mkbc-candle}
fi

# CUDA's libraries lie where the toolkit or the packages of PyPI have them; neither is where programs look by themselves.
libraries() {
  local folder
  for folder in $(python3 -c 'import sys; print(*[p + "/nvidia/cu13/lib" for p in sys.path if p])' 2>/dev/null) /usr/local/cuda/lib64; do
    if ls "$folder"/libcublas.so* >/dev/null 2>&1; then echo "$folder"; return; fi
  done
}
folder=$(libraries)
if [ -n "$folder" ]; then
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
  ls "$folder"/libnvrtc.so* >/dev/null 2>&1 && export MKBC_NVRTC=${MKBC_NVRTC:-$folder}
fi

part_build() {
  command -v cargo >/dev/null || lacks "there is no Rust here: bring the programs along (gpu/bundle.sh)"
  cargo build --release --quiet && cargo bench --no-run --quiet --bench kernels && cargo test --release --no-run --quiet --test kernels
  local status=$?
  [ -x "$MKBC_CANDLE" ] || workers/cuda.sh || echo "the worker is not built"
  return $status
}
part_inventory() {
  local began=$EPOCHREALTIME
  "$MKBC" devices --json >"$OUT/devices.json" || return
  awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "mkbc devices: %.0f ms\n", (b - a) * 1000 }'
  "$MKBC" devices
  nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.memory --format=csv 2>/dev/null || true
}
part_kernels() {
  if [ -n "$PREBUILT" ]; then
    # Plans are run by parts of their own: that test looks for the mkbc that it was built with.
    MKBC_GPU=1 "$PREBUILT/bin/kernels" --skip a_plan_finds --nocapture
  else
    MKBC_GPU=1 cargo test --release --quiet --test kernels -- --nocapture
  fi
}
part_benchmarks() {
  if [ -n "$PREBUILT" ]; then
    MKBC_BENCH_JSON=$OUT/benchmarks.json "$PREBUILT/bin/kernels-bench"
  else
    MKBC_BENCH_JSON=$OUT/benchmarks.json cargo bench --quiet --bench kernels
  fi
}
worker() {
  [ -x "$MKBC_CANDLE" ] || lacks "there is no worker for local models ($MKBC_CANDLE; workers/cuda.sh builds it)"
  "$MKBC_CANDLE" --version | grep -q '(cuda)' || lacks "$MKBC_CANDLE is built without CUDA"
}
part_agree() {
  worker
  python3 gpu/models/agree.py "$MKBC_CANDLE" gpu "$OUT/agree.json"
}
# Weights take as much room as they have numbers, and go when they were measured.
shape() {
  worker
  python3 -c 'import numpy' || lacks "Python has no NumPy"
  local free need=$2 shape=$1
  [ -z "$SMALL" ] || { shape=$3 need=1; }
  free=$(df --output=avail -BG "$OUT" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "$need" ] || lacks "$OUT has $free GB free, and the weights take $need"
  [ -f "$OUT/$1/config.json" ] || python3 gpu/models/make.py "$shape" "$OUT/$1"
}
part_llama() {
  shape llama_3_1_8b 18 llama_tiny || return
  python3 gpu/models/bench.py --weights "$OUT/llama_3_1_8b" --worker "$MKBC_CANDLE" --json "$OUT/llama.json"
}
part_whisper() {
  rm -rf "$OUT/llama_3_1_8b"
  shape whisper_large_v3 5 whisper_tiny || return
  python3 gpu/models/bench.py --weights "$OUT/whisper_large_v3" --worker "$MKBC_CANDLE" --json "$OUT/whisper.json"
}
part_texts() {
  worker
  gpu/texts.sh "$MKBC" "$OUT"
}
part_video() {
  command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || lacks "there is no ffmpeg here"
  examples/media/make.sh examples/media --quiet || lacks "the video cannot be made: is ffmpeg built with flite?"
  gpu/plan.sh "$MKBC" "$OUT"
}
part_server() {
  gpu/server.sh "$MKBC" "$OUT"
}
for part in "${parts[@]}"; do export -f "part_${part%%|*}"; done
export -f worker shape

chosen() {
  [[ ,$leave_out, != *,$1,* ]] && { [ -z "$only" ] || [[ ,$only, == *,$1,* ]]; }
}
for name in ${only//,/ } ${leave_out//,/ }; do
  [[ " ${parts[*]%%|*} " == *" $name "* ]] || { echo "gpu/check.sh: there is no part \`$name\`" >&2; exit 2; }
done

if [ -n "$dry" ]; then
  printf '%-11s %9s  %s\n' part 'at most' shows
  for part in "${parts[@]}"; do
    IFS='|' read -r name most shows <<<"$part"
    chosen "$name" && printf '%-11s %7s s  %s\n' "$name" "$most" "$shows"
  done
  cat <<'NEEDS'
needs: an NVIDIA driver (580 or newer for the worker). Built here: cargo with its crates fetched, NVRTC, the worker's compiler (docs/gpu.md).
       --prebuilt: the folder of gpu/bundle.sh. Further: Python with NumPy; PyTorch and transformers to compare with; ffmpeg for `video`; CUDA's
       cuBLAS and cuRAND for the worker. What is not there is said in the table, and fails nothing.
NEEDS
  exit 0
fi

has_gpu() {
  if [ -x "$MKBC" ]; then "$MKBC" devices --json 2>/dev/null | grep -q '"devices"'; else ls /dev/nvidia[0-9]* >/dev/null 2>&1 || [ -e /dev/dxg ]; fi
}
if ! has_gpu; then
  echo "gpu/check.sh: there is no NVIDIA GPU here: nothing was run. On a machine with one it would run:" >&2
  "$0" --dry-run >&2
  exit 3
fi

mkdir -p "$out" && OUT=$(cd "$out" && pwd) || exit 2
rm -rf "$OUT"/*.json "$OUT"/*.log "$OUT"/run-*
failed=0
rows=()
# Everything that is known so far: whoever ends this script early still has it.
record() {
  local name
  {
    printf '{"date":"%s","commit":"%s","seconds":%d,"parts":[' "$(date -u +%FT%TZ)" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" $SECONDS
    (IFS=,; printf '%s' "${rows[*]}")
    printf ']'
    for name in devices agree benchmarks llama texts whisper video server; do
      # A file that was cut off would make the rest unreadable.
      [ -s "$OUT/$name.json" ] && python3 -m json.tool "$OUT/$name.json" >/dev/null 2>&1 && printf ',"%s":%s' "$name" "$(cat "$OUT/$name.json")"
    done
    printf '}\n'
  } >"$OUT/check.new"
  mv "$OUT/check.new" "$OUT/check.json"
}
quoted() { python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().strip()[-300:]))' 2>/dev/null || echo '""'; }
trap 'record; exit 1' INT TERM
for part in "${parts[@]}"; do
  IFS='|' read -r name most shows <<<"$part"
  chosen "$name" || continue
  if [ -n "$within" ]; then
    left=$((within - SECONDS))
    [ "$left" -gt "$most" ] || most=$left
  fi
  began=$EPOCHREALTIME
  if [ "$most" -gt 0 ]; then
    timeout --kill-after=5 "$most" bash -o pipefail -c "part_$name" >"$OUT/$name.log" 2>&1
    status=$?
  else
    echo "no time is left for it" >"$OUT/$name.log"
    status=$LACKS
  fi
  seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  said=
  case $status in
    0) result=passed ;;
    "$LACKS") result=lacking; said=$(tail -n 1 "$OUT/$name.log") ;;
    124 | 137) result='too late' failed=1; said="stopped after $most s" ;;
    *) result=failed failed=1; said=$(tail -n 5 "$OUT/$name.log") ;;
  esac
  rows+=("{\"part\":\"$name\",\"result\":\"$result\",\"status\":$status,\"seconds\":$seconds,\"said\":$(quoted <<<"$said")}")
  printf '%-11s %-8s %8s s  %s\n' "$name" "$result" "$seconds" "$shows"
  [ -z "$said" ] || sed 's/^/              /' <<<"$said"
  record
done
rm -rf "$OUT/llama_3_1_8b" "$OUT/whisper_large_v3"
for name in inventory agree benchmarks llama texts whisper video server; do
  [ ! -s "$OUT/$name.log" ] || { echo "--- $name"; tail -n 20 "$OUT/$name.log"; }
done
echo "written: $OUT/check.json"
exit $failed
