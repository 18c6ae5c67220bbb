#!/usr/bin/env python3
"""How planning grows with the number of workflows that share a fleet: solve time, memory, gap, what sharing saves, and what splitting the fleet costs.

    python3 bench/growth.py [--jobs 10,50,200,1000] [--split 50] [--whole 1000] [--time-limit 10] [--epochs 0] [--mkbc target/release/mkbc] [--seed 1]

Writes so many job files (documents and videos, with limits, sizes and rates drawn from the seed) and a cluster that grows with them, and asks mkbc for a
joint plan of all, for up to --whole jobs at once, and of --split at a time (`mkbc plan --split`); each part has the whole --time-limit. With
--epochs, `mkbc simulate` runs `adaptive` over so many epochs, and the time of one re-planning is the whole command's time, less that of the same with
`joint`, by the number of epochs. Times are CPU seconds of the process (one thread plans), reading and preparing the jobs among them; the gap is that
between the plan and a bound on all jobs at once; saved = 1 - cost / the sum of what every job costs alone at least, as far as that was found out in the time.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import random
import subprocess
import tempfile

DOCUMENT = """use std.document

/// Answers a question about a document.
job {name}(question: Text, letter: Document) -> Text {{
  slo {{
    cost    <= {cost} usd
    latency <= {latency} s
    quality >= {quality} %
  }}
  only open_models
  minimize cost
  expect letter of {size}
  expect question of 30 tok
  expect {rate} requests/min

  let pages = document_text(letter)
  answer_from_document(question, pages)
}}
"""

VIDEO = """use std.video
use std.speech
use std.llm

/// Answers a question about a video by what is said in it.
job {name}(question: Text, video: Video) -> Text {{
  slo {{
    cost    <= {cost} usd
    latency <= {latency} s
    quality >= {quality} %
  }}
  only open_models
  minimize cost
  expect video of {size} s
  expect question of 30 tok
  expect {rate} requests/min

  let (frames, audio) = scene_detection(video)
  let transcript = speech_to_text(audio)
  question_answer(question, transcript, frames)
}}
"""


def write(folder, count, seed):
    """The job files, each with its rate."""
    draw, files = random.Random(seed), []
    for number in range(count):
        video = draw.random() < 0.4
        rate = round(math.exp(draw.gauss(math.log(60), 1)), 2)
        text = (VIDEO if video else DOCUMENT).format(
            name=f"job_{number:05}",
            cost=draw.choice([0.05, 0.2, 1]),
            latency=draw.choice([120, 240] if video else [60, 90, 180]),
            quality=draw.choice([20, 25, 30] if video else [30, 35, 45]),
            size=draw.choice([60, 120] if video else [1, 3, 8]),
            rate=rate,
        )
        file = folder / f"job_{number:05}.mkb"
        file.write_text(text)
        files.append((file, rate))
    return files


def cluster(folder, count, name):
    """Devices for so many jobs."""
    pools = {"h100": (count, 6.88), "a100": (2 * count, 3.43), "l4": (2 * count, 0.805), "cpu": (32 * count, 0.0893)}
    lines = "".join(f"  {device} * {units} at {price} usd/h\n" for device, (units, price) in pools.items())
    file = folder / f"{name}.mkb"
    file.write_text(f"/// Grows with the jobs.\ncluster {name} {{\n{lines}}}\n")
    return file


Done = collections.namedtuple("Done", "returncode stdout stderr")


def timed(command):
    """Runs a command; its CPU seconds, largest memory in MB, and what it said."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        running = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, Done(running.returncode, out.read(), err.read())


def planned(mkbc, files, fleet, out, limit, more):
    """A joint plan: CPU seconds, memory, and the plan or None with what was said."""
    command = [mkbc, "plan", *map(str, files), "--cluster", str(fleet), "--time-limit", str(limit), "-o", str(out), *more]
    out.unlink(missing_ok=True)
    seconds, memory, done = timed(command)
    if done.returncode != 0 or not out.exists():
        print((done.stderr or done.stdout).strip().splitlines()[:6])
        return seconds, memory, None
    return seconds, memory, json.loads(out.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="10,50,200,1000")
    parser.add_argument("--split", type=int, default=50)
    parser.add_argument("--whole", type=int, default=1000)
    parser.add_argument("--time-limit", type=float, default=10)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{'jobs':>6} {'parts':>6} {'CPU s':>8} {'MB':>6} {'usd/h':>10} {'gap %':>6} {'saved %':>8} {'GPUs':>6}", flush=True)
    for count in map(int, asked.jobs.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            files = [file for file, _ in write(folder, count, asked.seed)]
            fleet = cluster(folder, count + count // 2, "fleet")
            parts = [1] if count <= asked.whole else []
            if 0 < asked.split < count:
                parts.append(math.ceil(count / asked.split))
            for number in parts:
                more = [] if number == 1 else ["--split", str(asked.split)]
                cpu, memory, plan = planned(asked.mkbc, files, fleet, folder / "plan.json", asked.time_limit * number, more)
                if plan is None:
                    print(f"{count:6} {number:6} {cpu:8.1f} {memory:6.0f}  no plan", flush=True)
                    continue
                total, bound = plan["total"], float(plan["proof"]["bound_usd_per_hour"])
                cost, alone = float(total["usd_per_hour"]), float(total["alone_usd_per_hour"])
                # What a job costs alone is a lower bound: less than the plan says that too little of it was found out.
                saved = f"{100 * (1 - cost / alone):.1f}" if alone > cost else "-"
                gap = 100 * (1 - bound / cost)
                print(f"{count:6} {number:6} {cpu:8.1f} {memory:6.0f} {cost:10.2f} {gap:6.2f} {saved:>8} {total['gpus']:6}", flush=True)
            if asked.epochs:
                replanned(asked, folder, files)


def replanned(asked, folder, files):
    """What one re-planning of all jobs takes inside a simulation."""
    fleet = cluster(folder, len(files) + len(files) // 2, "fleet")
    took = {}
    for policy in ("joint", "adaptive"):
        command = [asked.mkbc, "simulate", *map(str, files), "--cluster", str(fleet), "--policy", policy, "--rounds", "200"]
        seconds, _, done = timed(command + ["--hours", str(asked.epochs), "--format", "json"])
        if done.returncode != 0:
            print((done.stderr or done.stdout).strip().splitlines()[:6])
            return
        took[policy] = seconds
    each = (took["adaptive"] - took["joint"]) / asked.epochs
    print(f"{len(files):6} re-planned for {asked.epochs} epochs: {each:.2f} CPU s each (first plan and simulation: {took['joint']:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
