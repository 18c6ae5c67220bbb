#!/bin/bash
# A job on a video with known scenes, planned for this machine and run, its scenes and frames pinned first to the GPU and then to a CPU core;
# both must give the same scenes. Part of gpu/check.sh.   usage: gpu/plan.sh MKBC FOLDER
set -euo pipefail
mkbc=$1
out=$2
# The library's name for the device: the one that stands in the driver's.
device=$("$mkbc" devices --json | python3 -c '
import json, re, sys
names = re.findall(r"^device (\w+)", open("stdlib/devices.mkb").read(), re.M)
gpus = json.load(sys.stdin)["gpus"]
there = [g["name"].lower() for g in gpus["devices"]] if "devices" in gpus else []
print(next((n for n in names if n != "cpu" and any(n in g for g in there)), ""))')
[ -n "$device" ] || { echo "the library knows no device of this GPU's name: nothing can be planned for it" >&2; exit 1; }
for place in "$device" cpu; do
  cat >"$out/$place.mkb" <<JOB
use std.video
use kernels

/// The scenes of a video, each frame once.
job pieces(video: Video) -> Frames {
  let (frames, audio) = scene_detection(video) using histogram_scenes(frames: 5) on $place * 1
  distinct_frames(frames) using unlike_frames on $place * 1
}
JOB
  "$mkbc" run "$out/$place.mkb" --cluster here --library gpu/library --video examples/media/kitchen.mp4 --folder "$out/run-$place" --json >"$out/$place.json"
done
python3 - "$out" "$device" <<'PYTHON'
import json, os, sys
out, device = sys.argv[1:]
def of(place):
    with open(os.path.join(out, "run-" + place, "report.json")) as f:
        report = json.load(f)
    with open(os.path.join(out, "run-" + place, "result.json")) as f:
        frames = json.load(f)
    return report, [(f["time"], f["scene"]) for f in frames["frames"]], frames["scenes"]
gpu, cpu = of(device), of("cpu")
same = gpu[1:] == cpu[1:]
print("scenes and frames on %s and on a CPU core are %s: %d scenes, %d frames" % (device, "the same" if same else "NOT the same", len(gpu[2]), len(gpu[1])))
with open(os.path.join(out, "plan.json"), "w") as f:
    json.dump({"device": device, "same": same, "wall_s": {device: gpu[0]["wall_s"], "cpu": cpu[0]["wall_s"]}}, f)
sys.exit(not same)
PYTHON
