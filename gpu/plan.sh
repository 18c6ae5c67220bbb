#!/bin/bash
# A job on a video with known scenes, planned for this machine and run, its scenes and frames pinned first to the GPU and then to a CPU core;
# both must give the same scenes. Part of gpu/check.sh.   usage: gpu/plan.sh MKBC FOLDER
set -euo pipefail
mkbc=$1
out=$2
device=$(gpu/device.sh "$mkbc")
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
with open(os.path.join(out, "video.json"), "w") as f:
    json.dump({"device": device, "same": same, "wall_s": {device: gpu[0]["wall_s"], "cpu": cpu[0]["wall_s"]}}, f)
sys.exit(not same)
PYTHON
