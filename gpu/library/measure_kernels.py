#!/usr/bin/env python3
"""Measures what the tools are worth whose work mkbc does itself on a CPU or a GPU, and estimates their time on GPUs.

usage: measure_kernels.py [--out DIR] [--work DIR] [--mkbc PROGRAM]

Writes histogram_scenes.csv and unlike_frames.csv, and nearest_vectors_gpu.csv. Quality is measured through the program; times are
estimated from processor seconds, which a busy machine does not change much. `mkbc profile NAME --library gpu/library -o gpu/library` measures
them, and what it measured stands before them. The videos are measure_offline.py's.
"""
import argparse, csv, json, os, resource, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STDLIB = os.path.join(HERE, "../../stdlib/profiles")
sys.path.insert(0, STDLIB)
from measure_offline import FPS, POWER_SOURCE, WATTS_LOW, WATTS_PER_CORE, source, thin, videos

# device: bytes a second from host memory in practice (80 % of PCIe 5.0 x16, 4.0 x16 and 3.0 x16 in one direction), of its own memory, watts, idle watts (devices.mkb)
GPUS = {"h100": (50e9, 3350e9, 700, 70), "h200": (50e9, 4800e9, 700, 78), "b200": (50e9, 8000e9, 1000, 136), "a100": (25e9, 2039e9, 400, 59),
        "a100_40gb": (25e9, 1555e9, 400, 59), "l4": (25e9, 300e9, 72, 12), "l40s": (25e9, 864e9, 350, 31), "t4": (12.5e9, 320e9, 70, 10)}
LINKS = "bytes over the link at 80 % of PCIe's rate in one direction (5.0 x16 63 GB/s, 4.0 x16 31.5, 3.0 x16 15.75)"
START, START_LOW, START_HIGH = 0.0005, 0.0001, 0.5  # pinned memory, copies and launches; a first call also makes the context and loads the code
COUNTING = 0.00022  # processor seconds for the counts of a frame of 320 x 180: 7.9 ms for 1920 x 1080 (one core, 2026-11-29), by pixels
READING = 0.00215  # processor seconds to read a frame of 640 x 360: all of colour_regions, which reads the same pictures (measured/colour_regions.csv)
COMPARED = 12.5 * 320 * 180 * 3  # bytes a second of video that histogram_scenes compares
PICTURE = 640 * 360 * 3


def save(path, header, rows):
    with open(path + ".tmp", "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header.split(","))
        w.writerows(rows)
    os.replace(path + ".tmp", path)
    print(path)


def ffmpeg(video, rate, cwd):
    """Processor seconds of FFmpeg's part of histogram_scenes (src/run/engines/builtin/scenes.rs), whatever else the machine does."""
    graph = ("[0:v:0]split=2[s][f];[s]fps=12.5:start_time=0:round=up,scale=320:180:flags=area,format=rgb24[raw];"
             "[f]fps=%d:start_time=0:round=up,scale='min(640,iw)':-2[frames]" % rate)
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y", "-threads", "1", "-filter_complex_threads", "1", "-i", video,
            "-filter_complex", graph, "-map", "[raw]", "-f", "rawvideo", "pipe:1", "-map", "[frames]", "-c:v", "png", "-compression_level", "1", "-threads", "1",
            "-f", "image2", "-start_number", "0", "%06d.png", "-map", "0:a:0", "-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "audio.wav"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=cwd, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cores(rows, knob, figure, unit, one, source):
    """Rows of 1 and 2 cores: two are taken to need 0.6 of the time of one, at best half, at worst all of it."""
    for units, share, low, high in ((1, 1, 0.7, 1.5), (2, 0.6, 0.35, 1.5)):
        rows.append(knob + ["cpu", units, figure, "%.6f" % (share * one), unit, "%.6f" % (low * one), "%.6f" % (high * one), "estimated",
                            source + ("" if units == 1 else "; x 0.6 on 2 cores (half to all of it)") + ""])


def run(mkbc, folder, job, video):
    path = os.path.join(folder, "job.mkb")
    with open(path, "w") as f:
        f.write("use std.video\nuse kernels\n\njob pieces(video: Video) -> Frames {\n  let (frames, audio) = scene_detection(video) using histogram_scenes(frames: %d)\n%s}\n" % job)
    out = os.path.join(folder, "run")
    subprocess.run(["rm", "-rf", out], check=True)
    done = subprocess.run([mkbc, "run", path, "--video", video, "--folder", out, "--quiet", "--library", HERE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout.decode())
    outputs = []
    for step in sorted(os.listdir(os.path.join(out, "steps"))):
        with open(os.path.join(out, "steps", step, "0000", "output.json")) as f:
            value = json.load(f)
        outputs.append(value.get("frames", value) if isinstance(value.get("frames"), dict) else value)
    return outputs


def spread(shares):
    hit, asked = sum(s[0] for s in shares), sum(s[1] for s in shares)
    per_video = [100 * h / a for h, a in shares if a]
    return 100 * hit / asked, min(per_video), max(per_video), asked


def power(rows, knobs):
    for n in (1, 2):
        rows.append([""] * knobs + ["cpu", n, "power", "%.2f" % (WATTS_PER_CORE * n), "W", "%.2f" % (WATTS_LOW * n), "%.2f" % (WATTS_PER_CORE * n), "estimated", POWER_SOURCE])
    for device, (_, _, watts, idle) in GPUS.items():
        rows.append([""] * knobs + [device, 1, "power", "%.1f" % (idle + 0.1 * (watts - idle)), "W", idle, watts, "estimated",
                                    "idle + a tenth of what is above it: the GPU waits for the CPU and the link most of the time (devices.mkb); low: idle, high: TDP"])
        rows.append([""] * knobs + [device, 1, "memory", "0.70", "GB", "0.35", "1.5", "estimated", "a CUDA context (some 0.5 GB) and two lanes of 32 MB for pieces and results"])


def histogram_scenes(mkbc, folder, made, whole, out):
    rows, starts = [], []
    for path, _, _, _ in made:
        # Where scenes begin does not depend on how many frames are kept of each.
        starts.append([s["start"] for s in run(mkbc, folder, (1, "  frames\n"), path)[0]["scenes"]])
    for frames, fps in FPS.items():
        shares = []
        for (path, length, scenes, captions), found in zip(made, starts):
            times = [n / fps + 1e-9 for n in range(int(length * fps + 0.999))]
            ok = 0
            for begin, end, _ in captions:
                true = max(s for s in scenes if s <= begin)
                ok += any(abs(a - true) <= 0.25 and any(begin <= t < end for t in thin(times, a, b, frames)) for a, b in zip(found, found[1:] + [length]))
            shares.append((ok, len(captions)))
        value, low, high, asked = spread(shares)
        rows.append([frames, "", "", "quality", "%.1f" % value, "%", "%.1f" % low, "%.1f" % high, "measured",
                     source(1, "share of %d captions (shown 0.5 to 3 s, two in each scene of 6 to 10 s) with a kept frame inside the caption's time and in a "
                               "scene whose start is found within 0.25 s; range over 4 videos; measure_kernels.py; the thresholds were chosen on these videos" % asked)])
    total = sum(m[1] for m in made)
    seen = {}
    for frames, fps in FPS.items():
        if fps not in seen:
            small, large = ffmpeg(made[0][0], fps, folder), ffmpeg(whole, fps, folder)
            per = (large - small) / (total - made[0][1])
            seen[fps] = max(0.0, small - per * made[0][1]), per + 12.5 * COUNTING, small, large
        fixed, per, small, large = seen[fps]
        how = ("processor seconds of FFmpeg with %d frames/s as PNG: %.2f and %.2f for %d and %d s of video 640x360 24/s (2-core x86-64 VM; 2026-11-29)"
               % (fps, small, large, made[0][1], total))
        cores(rows, [frames], "latency", "s", fixed, how)
        cores(rows, [frames], "latency.per.duration", "s/s", per, how + "; + 12.5 x %.2f ms to count (by pixels from 7.9 ms for 1920x1080)" % (1e3 * COUNTING))
        for device, (link, _, _, _) in GPUS.items():
            more = COMPARED / link
            rows.append([frames, device, 1, "latency", "%.6f" % (0.6 * fixed + START), "s", "%.6f" % (0.35 * fixed + START_LOW), "%.6f" % (1.5 * fixed + START_HIGH), "estimated",
                         "as on 2 cores, since FFmpeg stays there, + 0.5 ms to begin; high: a context and code that are not there yet"])
            rows.append([frames, device, 1, "latency.per.duration", "%.6f" % (0.6 * per + more), "s/s", "%.6f" % (0.35 * per), "%.6f" % (1.5 * per + more), "estimated",
                         "as on 2 cores, since FFmpeg stays there and is waited for, + %.0f bytes a second of video: %s" % (COMPARED, LINKS)])
    power(rows, 1)
    save(os.path.join(out, "histogram_scenes.csv"), "frames,device,units,figure,value,unit,low,high,evidence,source", rows)


def unlike_frames(mkbc, folder, made, out):
    rows, shares, kept, all_frames = [], [], 0, 0
    for path, length, scenes, captions in made:
        before, after = run(mkbc, folder, (10, "  distinct_frames(frames)\n"), path)
        shown = lambda value: {c for c in range(len(captions)) if any(captions[c][0] <= f["time"] < captions[c][1] for f in value["frames"])}
        shares.append((len(shown(after) & shown(before)), len(shown(before))))
        kept, all_frames = kept + after["count"], all_frames + before["count"]
    value, low, high, asked = spread(shares)
    rows.append(["", "", "quality", "%.1f" % value, "%", "%.1f" % low, "%.1f" % high, "measured",
                 source(1, "share of the %d captions on frames (10 a scene) that are on the frames kept; %d of %d frames are kept; range over 4 videos; measure_kernels.py"
                        % (asked, kept, all_frames))])
    how = "%.1f ms of a core to read a frame of 640 x 360: all of colour_regions (measured/colour_regions.csv), which reads the same pictures" % (1e3 * READING)
    cores(rows, [], "latency", "s", 0.0, "all of the time is taken to grow with the frames")
    cores(rows, [], "latency.per.frames", "s/item", READING, how)
    for device, (link, _, _, _) in GPUS.items():
        more = PICTURE / link
        rows.append([device, 1, "latency", START, "s", START_LOW, START_HIGH, "estimated", "0.5 ms to begin; high: a context and code that are not there yet"])
        rows.append([device, 1, "latency.per.frames", "%.6f" % (0.6 * READING + more), "s/item", "%.6f" % (0.35 * READING), "%.6f" % (1.5 * READING + more), "estimated",
                     "as on 2 cores, since pictures are read there, + 640 x 360 x 3 bytes a frame: %s" % LINKS])
    power(rows, 0)
    save(os.path.join(out, "unlike_frames.csv"), "device,units,figure,value,unit,low,high,evidence,source", rows)


def nearest_vectors(out):
    """On a GPU the vectors are read from JSON as on the CPU, then copied and compared."""
    with open(os.path.join(STDLIB, "nearest_vectors.csv")) as f:
        cpu = next(r for r in csv.reader(f) if r[3] == "latency.per.passages")
    rows = [["", "", "", "quality", 100, "%", 100, 100, "estimated", "by definition: every vector is compared, none is missed"]]
    for device, (link, memory, _, _) in GPUS.items():
        rows.append(["", device, 1, "latency", START, "s", START_LOW, START_HIGH, "estimated", "pinned memory, copies and launches 0.5 ms; high: a context and code that are not there yet"])
        more = 384 * 4 / link + 384 * 4 / (0.7 * memory)
        rows.append(["", device, 1, "latency.per.passages", "%.9f" % (float(cpu[4]) + more), "s/item", "%.9f" % more, "%.9f" % (float(cpu[7]) + more), "estimated",
                     "reading a vector of 384 numbers from JSON on the CPU, at most the %s s of the whole on a CPU, + 1536 bytes over the link and from memory at 70 %% of its bandwidth "
                     "(devices.mkb); %s; low: without the JSON" % (cpu[4], LINKS)])
    power(rows, 1)
    rows = [r for r in rows if r[1] != "cpu"]
    save(os.path.join(out, "nearest_vectors_gpu.csv"), "top,device,units,figure,value,unit,low,high,evidence,source", rows)


def main():
    ap = argparse.ArgumentParser(description="Measures the tools that mkbc computes itself.")
    ap.add_argument("--out", default=os.path.join(HERE, "profiles"))
    ap.add_argument("--work", help="folder for the test files (kept); default: a temporary one")
    ap.add_argument("--mkbc", default=os.path.join(HERE, "../../target/release/mkbc"))
    args = ap.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        work = os.path.abspath(args.work or tmp)
        os.makedirs(work, exist_ok=True)
        made, whole = videos(work)
        out, mkbc = os.path.abspath(args.out), os.path.abspath(args.mkbc)
        histogram_scenes(mkbc, work, made, whole, out)
        unlike_frames(mkbc, work, made, out)
        nearest_vectors(out)


if __name__ == "__main__":
    main()
