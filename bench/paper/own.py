#!/usr/bin/env python3
"""The paper's mix and its Fig. 12 with mkbc's own library: what the figures of stdlib/ come to where the paper prints none.

    python3 bench/paper/own.py PROFILES.json [--mkbc target/release/mkbc] [--only mix,placement,devices] [--scale 0.1] [--rounds 200] [--policy all]

`mix`: a day of the paper's hourly arrivals (times --scale), 70 % of the requests asking for accuracy and 30 % for speed, simulated for every policy
over the same arrivals. By hand means one configuration a workflow, as the paper has it: Gemma 3 27B on A100s and Whisper's largest model on a GPU, for both
classes, as good as these can be set. The lines are what that configuration keeps: its quality, or nine tenths of it and twice its time for those that
ask for speed; `fewer-gpus` is the plan where each GPU costs a dollar an hour more than it does. `placement`: where Whisper and OmDet lie, with 30 s to answer. `devices`: what so many H100s beside 2,000 A100s save in the busiest hour.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

ACCURACY = 0.7
CLUSTER = """/// The paper's two kinds of GPUs, and what a data centre has beside them.
cluster day {{
  h100 * {h100} at 6.88 usd/h
  a100 * {a100} at 3.43 usd/h
  l4   * {l4} at 0.805 usd/h
  cpu  * {cpu} at 0.0893 usd/h
}}
"""
VIDEO = """use std.video
use std.speech
use std.llm

/// Questions about videos.
job {name}(question: Text, video: Video) -> Text {{
  slo {{
{lines}
  }}
  only open_models
{pins}  {wish}
  expect video of 60 s
  expect question of 50 tok

  let (frames, audio) = scene_detection(video)
  let transcript = speech_to_text(audio)
  question_answer(question, transcript, frames)
}}
"""
CODE = """use std.code
use std.llm

/// Code: written, reviewed, written again.
job {name}(request: Text) -> Text {{
  slo {{
{lines}
  }}
  only open_models
{pins}  {wish}
  quality min
  expect request of 150 tok

  let draft  = write_code(request)
  let review = review_code(request, draft)
  write_code(request, review)
}}
"""
PLACED = """use std.video
use std.vision
use std.speech
use std.llm

/// A question about what is said and seen in a video, with 30 s to answer.
job placed(question: Text, video: Video) -> Text {{
  slo {{
    latency <= {latency} s
  }}
  only open_models
  using vision_chat(variant: gemma_3_27b) on a100 * 2
{pins}  minimize cost
  expect video of 120 s
  expect question of 50 tok

  let (frames, audio) = scene_detection(video)
  let transcript = speech_to_text(audio)
  let seen       = object_detection(frames)
  question_answer(question, transcript, frames, seen)
}}
"""
HANDS = {
    "video": ["using vision_chat(variant: gemma_3_27b){}", "using whisper(variant: large_v3){}"],
    "code": ["using chat(variant: gemma_3_27b){}"],
}
PLACES = {"using vision_chat": " on a100 * 2", "using whisper": " on a100 * 1", "using chat": " on a100 * 2"}


def pinned(of, placed):
    """The models by hand, on their devices or wherever they may run."""
    return lined(line.format(PLACES[line.split("(")[0]] if placed else "") for line in HANDS[of])


def lined(lines):
    return "".join(f"  {line}\n" for line in lines)


def written(folder, name, text):
    file = folder / f"{name}.mkb"
    file.write_text(text)
    return file


def call(mkbc, *words):
    done = subprocess.run([mkbc, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def planned(mkbc, file, cluster, time="5"):
    code, out, err = call(mkbc, "plan", file, "--cluster", cluster, "--time-limit", time, "--json", "--no-prices")
    return json.loads(out) if code == 0 else err


def classes(asked, folder, cluster):
    """The four classes of requests: name, workflow, share of its requests, and its files: for any open model, for the same models, by hand."""
    out, best = [], "maximize quality, then minimize cost"
    for of, text in (("video", VIDEO), ("code", CODE)):
        own = written(folder, f"{of}_hand", text.format(name=of, lines="    latency <= 600 s", pins=pinned(of, True), wish=best))
        plan = planned(asked.mkbc, own, cluster)
        if isinstance(plan, str):
            raise SystemExit(plan)
        quality, latency = float(plan["total"]["quality"]) * 100, float(plan["total"]["latency_s"])
        print(f"{of} by hand: quality {quality:.2f} %, {latency:.1f} s")
        # Queues come on top of what is planned; both lines are kept by the configuration by hand.
        good = [f"    quality >= {quality - 0.01:.2f} %", f"    latency <= {4 * latency:.1f} s"]
        fast = [f"    quality >= {0.9 * quality:.2f} %", f"    latency <= {2 * latency:.1f} s"]
        for kind, lines, share in (("accuracy", good, ACCURACY), ("latency", fast, 1 - ACCURACY)):
            name = f"{of}_{kind}"
            lines = "\n".join(lines)
            ours = written(folder, name, text.format(name=name, lines=lines, pins="", wish="minimize cost"))
            text_same = text.format(name=name, lines=lines, pins=pinned(of, False), wish="minimize cost")
            same = written(folder, f"{name}_same", text_same)
            text_hand = text.format(name=name, lines="    latency <= 600 s", pins=pinned(of, True), wish=best)
            out.append((name, of, share, ours, same, written(folder, f"{name}_hand", text_hand)))
    return out


def mix(asked, published, folder):
    trace, scale = published["azure_hourly_req_per_s_total"], asked.scale
    hours = {"video": trace["chat_avg"], "code": trace["code_avg"]}
    many = lambda count: max(8, round(count * scale))
    cluster = written(folder, "day", CLUSTER.format(h100=many(2000), a100=many(8000), l4=many(8000), cpu=many(200_000)))
    all_classes = classes(asked, folder, cluster)
    load = ",".join(f"{name}=" + "|".join(f"{rate * scale * share:.4f}/s" for rate in hours[of]) for name, of, share, *_ in all_classes)
    _, _, _, jobs, same, hands = zip(*all_classes)
    # The planner's sum is money: with a dollar an hour more for each GPU, fewer are worth some of it.
    dearer = lambda pool: f"{pool[1]} at {float(pool[2]) + 1:.3f}"
    counted = written(folder, "counted", re.sub(r"((?:100|l4) +\* \d+) at ([0-9.]+)", dearer, cluster.read_text()))
    peaks = ",".join(f"{name}={max(hours[of]) * scale * share:.4f}/s" for name, of, share, *_ in all_classes)
    for title, ours in (("the planner may take any open model", jobs), ("the planner has the same models", same)):
        print(f"\n{title}:\n", flush=True)
        fewer = folder / "fewer.json"
        code, out, err = call(asked.mkbc, "plan", *ours, "--cluster", counted, "--load", peaks, "--time-limit", 10, "-o", fewer)
        if code != 0:
            raise SystemExit(err or out)
        words = ["simulate", *ours, "--cluster", cluster, "--load", load, "--hours", 24, "--rounds", asked.rounds]
        words += ["--policy", asked.policy, "--policy-plan", f"fewer-gpus={fewer}"]
        day(asked, words + [word for hand in hands for word in ("--by-hand", hand)])


def devices(asked, published, folder):
    """What some H100s beside 2,000 A100s save in the busiest hour, planned for all requests (not for a share of them)."""
    trace = published["azure_hourly_req_per_s_total"]
    peaks = {"video": trace["chat_peak"][11], "code": trace["code_peak"][11]}
    mixed = written(folder, "day", CLUSTER.format(h100=8, a100=8, l4=8, cpu=96))
    all_classes = classes(asked, folder, mixed)
    load = ",".join(f"{name}={peaks[of] * share:.4f}/s" for name, of, share, *_ in all_classes)
    _, _, _, jobs, same, _ = zip(*all_classes)
    for title, ours in (("the planner may take any open model", jobs), ("the planner has the same models", same)):
        print(f"\n{title}:\n")
        print("| H100s there | A100 + H100 | usd/h | saved | kW | gap |\n|" + "---|" * 6, flush=True)
        base = None
        for h100 in (0, 10, 20, 50, 100, 200):
            pools = {"a100": (2000, 3.43), "h100": (h100, 6.88), "cpu": (50_000, 0.0893)}
            lines = "".join(f"  {name} * {units} at {price} usd/h\n" for name, (units, price) in pools.items() if units)
            fleet = written(folder, f"fleet_{h100}", f"/// A100s and some H100s.\ncluster fleet_{h100} {{\n{lines}}}\n")
            words = ["plan", *ours, "--cluster", fleet, "--load", load, "--time-limit", 5, "--json"]
            code, out, err = call(asked.mkbc, *words)
            if code != 0:
                print(f"| {h100} | {(err or out).strip().splitlines()[0]} |")
                continue
            plan = json.loads(out)
            held = {"a100": 0, "h100": 0}
            for used in plan["instances"]:
                if used["instance"]["device"] in held:
                    held[used["instance"]["device"]] += used["replicas"] * used["instance"]["units"]
            # What replicas draw while they are busy, by how busy they are.
            kw = 0.0
            for job in plan["jobs"]:
                for step, route in zip(job["plan"]["steps"], job["routes"]):
                    took = float(step["predicted"]["latency_s"])
                    kw += float(step["predicted"]["energy_wh"]) * 3.6 / took * float(route["load"]) if took else 0
            cost = float(plan["total"]["usd_per_hour"])
            base = base or cost
            gap = 100 * (1 - float(plan["proof"]["bound_usd_per_hour"]) / cost)
            print(f"| {h100} | {held['a100']} + {held['h100']} | {cost:,.0f} | {100 * (1 - cost / base):.1f} % | {kw:.0f} | {gap:.2f} % |", flush=True)


def day(asked, words):
    code, out, err = call(asked.mkbc, *words, "--format", "json")
    if code != 0:
        raise SystemExit(err or out)
    said = json.loads(out)
    print("| policy | GPUs at most | GPU-h | cost usd | energy kWh | p95 s | late | quality | by hand ÷ it: GPUs | GPU-h | cost | energy | with an autoscaler ÷ it: cost |")
    print("|" + "---|" * 13)
    outcomes = {policy["policy"]: policy.get("outcome") for policy in said["policies"]}
    of = lambda o: (o["gpus_peak"], o["spent"]["gpu_hours"], o["spent"]["cost_usd"], (o["spent"]["busy_wh"] + o["spent"]["idle_wh"]) / 1000)
    for name, outcome in outcomes.items():
        if outcome is None:
            print(f"| {name} | does not fit |")
            continue
        own, runs = of(outcome), outcome["runs"]
        row = [name, own[0], *(f"{x:.1f}" for x in own[1:]), f"{runs['latency']['p95_s']:.1f}", f"{100 * runs['late_share']:.2f} %", f"{100 * runs['quality']:.1f} %"]
        row += [f"{b / o:.2f}" if o else "-" for b, o in zip(of(outcomes["static"]), own)] if outcomes.get("static") else ["-"] * 4
        row += [f"{of(outcomes['autoscaled'])[2] / own[2]:.2f}" if outcomes.get("autoscaled") else "-"]
        print("| " + " | ".join(map(str, row)) + " |")
    print("\n" + "\n".join(said["notes"]))


def placement(asked, _, folder):
    cluster = written(folder, "eight", CLUSTER.format(h100=8, a100=8, l4=8, cpu=96))
    whisper, omdet = "using whisper(variant: large_v3_turbo){}", "using omdet(variant: omdet_turbo_tiny){}"
    gpu, cpu = " on a100 * 1", " on cpu * 8"
    print("| Whisper | OmDet | latency s | GPUs | usd a run |")
    print("|---|---|---|---|---|")
    for speech, objects in ((gpu, gpu), (cpu, cpu), (cpu, gpu), (gpu, cpu), ("", "")):
        pins = [line.format(at) for line, at in ((whisper, speech), (omdet, objects))]
        row = None
        for latency in (30, 3600):
            file = written(folder, "placed", PLACED.format(latency=latency, pins=lined(pins)))
            plan = planned(asked.mkbc, file, cluster)
            if isinstance(plan, str):
                continue
            total = plan["total"]
            steps = {step["task"]: step for step in plan["steps"]}
            at = [f"{steps[task]['implementation']} on {steps[task]['hardware']['device']} * {steps[task]['hardware']['units']}" for task in ("speech_to_text", "object_detection")]
            seconds = f"{float(total['latency_s']):.1f}" + ("" if latency == 30 else " (more than 30)")
            row = [*at, seconds, total["gpus"], f"{float(total['cost_usd']):.4f}"]
            break
        print("| " + " | ".join(map(str, row or [speech, objects, "no plan", "", ""])) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profiles", type=pathlib.Path)
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--only", default="mix,placement,devices")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--policy", default="all", help="of `mix`")
    asked = parser.parse_args()
    published = json.loads(asked.profiles.read_text())
    parts = {"mix": mix, "placement": placement, "devices": devices}
    with tempfile.TemporaryDirectory() as folder:
        for part in asked.only.split(","):
            print(f"## {part}\n", flush=True)
            parts[part](asked, published, pathlib.Path(folder))


if __name__ == "__main__":
    main()
