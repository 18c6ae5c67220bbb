#!/bin/bash
# Runs on a machine with an NVIDIA GPU what can be run nowhere else: the tests of the kernels, their benchmarks beside the CPU's, and a whole
# plan whose steps are pinned to the GPU. Prints one table, writes JSON. Needs no network, but what `--dry-run` lists.
#   gpu/check.sh [--out FOLDER]   everything; the folder (target/gpu-check) gets check.json and a log of each part
#   gpu/check.sh --dry-run        what would be run, and what it needs
# Status: 0 all went well, 1 something failed, 2 wrong use, 3 there is no GPU here.
set -uo pipefail
cd "$(dirname "$0")/.."
out=target/gpu-check
dry=
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry=1 ;;
    --out) shift; out=${1:?--out needs a folder} ;;
    *) echo "usage: gpu/check.sh [--dry-run] [--out FOLDER]" >&2; exit 2 ;;
  esac
  shift
done
export CARGO_NET_OFFLINE=true
mkbc=${MKBC:-target/release/mkbc}

# NAME | what it shows | command. They run in this order; a part that fails stops none of the others.
parts=(
  "build|mkbc and the benchmark compile|cargo build --release --quiet && cargo bench --no-run --quiet --bench kernels"
  "inventory|the driver and the devices answer|$mkbc devices --json | tee $out/devices.json"
  "kernels|kernels agree with their twins on this GPU|MKBC_GPU=1 MKBC_REQUIRE_TOOLS=1 cargo test --release --quiet --test kernels -- --nocapture"
  "benchmarks|time of kernels and of twins on 1 and 2 cores; 1,000,000 x 768 vectors against the memory's bandwidth|MKBC_BENCH_JSON=$out/bench.json cargo bench --quiet --bench kernels"
  "media|a video with known scenes, made here|examples/media/make.sh examples/media --quiet"
  "plan|a plan for this machine, its scenes and frames pinned to the GPU|gpu/plan.sh $mkbc $out"
)

if [ -n "$dry" ]; then
  printf '%-11s %s\n' part shows
  for part in "${parts[@]}"; do
    IFS='|' read -r name shows _ <<<"$part"
    printf '%-11s %s\n            %s\n' "$name" "$shows" "${part#*|*|}"
  done
  echo "needs: an NVIDIA driver; cargo with the crates fetched beforehand (cargo fetch); ffmpeg; NVRTC (docs/gpu.md says how to get it beforehand)"
  exit 0
fi

# The driver's own library is what counts; nvidia-smi may be missing in a container.
has_gpu() { ls /dev/nvidia[0-9]* >/dev/null 2>&1 || [ -e /dev/dxg ]; }
if ! has_gpu; then
  echo "gpu/check.sh: there is no NVIDIA GPU here (no /dev/nvidia0): nothing was run. On a machine with one it would run:" >&2
  "$0" --dry-run >&2
  exit 3
fi

mkdir -p "$out"
failed=0
rows=()
for part in "${parts[@]}"; do
  IFS='|' read -r name shows _ <<<"$part"
  began=$(date +%s.%N)
  bash -o pipefail -c "${part#*|*|}" >"$out/$name.log" 2>&1
  status=$?
  seconds=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
  [ "$status" -eq 0 ] && result=passed || { result=failed; failed=1; }
  rows+=("{\"part\":\"$name\",\"result\":\"$result\",\"status\":$status,\"seconds\":$seconds}")
  printf '%-11s %-7s %8s s  %s\n' "$name" "$result" "$seconds" "$shows"
  [ "$result" = passed ] || tail -n 5 "$out/$name.log" | sed 's/^/              /'
done
[ -f "$out/benchmarks.log" ] && cat "$out/benchmarks.log"
[ -f "$out/plan.log" ] && cat "$out/plan.log"
json() { if [ -s "$out/$1.json" ]; then cat "$out/$1.json"; else echo null; fi; }
{
  printf '{"date":"%s","commit":"%s","parts":[' "$(date -u +%FT%TZ)" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  (IFS=,; printf '%s' "${rows[*]}")
  printf '],"devices":%s,"benchmarks":%s,"plan":%s}\n' "$(json devices)" "$(json bench)" "$(json plan)"
} >"$out/check.json"
echo "written: $out/check.json"
exit $failed
