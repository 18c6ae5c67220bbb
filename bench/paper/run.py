#!/usr/bin/env python3
"""The evaluation of OSDI'26 with mkbc's planner, from the paper's published figures: the tables of docs/paper.md.

    python3 bench/paper/run.py PROFILES.json [--mkbc target/release/mkbc] [--only table2,table3,tiers,epochs] [--percentile 90,50]

PROFILES.json is murakkab_profiles.json: hourly arrivals, the tiers and the paper's own tables are read from it; models and their
figures come from bench/paper/p90 and p50 (written by library.py).
"""

import argparse
import collections
import json
import math
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
JOBS = HERE / "jobs"
# List prices of a GPU by the hour, as the JSON has them for eight.
A100, H100 = 27.197 / 8, 98.32 / 8
# 70 % of the requests ask for accuracy, 30 % for speed.
ACCURACY, LATENCY = 0.7, 0.3
FOUR = ["video_accuracy", "video_latency", "code_accuracy", "code_latency"]
BY_HAND = ["video_by_hand", "code_by_hand"]

# What a class of requests is asked for where the printed line cannot be kept with so many tokens.
LOOSER = {"90": {"video_latency": ("latency <= 0.9 s", "latency <= 1 s")}}

# GPUs held, what they cost by the hour at list price, what they draw while busy.
Result = collections.namedtuple("Result", "a100 h100 usd kw json")
# Kilowatts of a busy GPU: Gemma-3-27B on four A100 at 700 and on four H100 at 1,583 tokens/s, by the curves of power.
KW = {"a100": 1.434 / 4, "h100": 1.649 / 4}


class Planner:
    def __init__(self, mkbc, percentile, limit, folder):
        self.mkbc, self.library, self.limit, self.folder = mkbc, HERE / f"p{percentile}", limit, folder
        self.runs, self.jobs, self.days = 0, {}, {}
        for name in FOUR + BY_HAND:
            text = (JOBS / f"{name}.mkb").read_text()
            printed, looser = LOOSER.get(percentile, {}).get(name, ("", ""))
            self.jobs[name] = folder / f"{name}.mkb"
            self.jobs[name].write_text(text.replace(printed, looser))

    def sliced(self, loads, parts):
        """Loads and sources with some jobs as several equal ones: mkbc gives a job one setting, and these may differ."""
        out, sources = {}, {}
        for name, rate in loads.items():
            for part in range(parts.get(name, 1)):
                own = f"{name}_{part}"
                sources[own] = self.folder / f"{own}.mkb"
                sources[own].write_text(self.jobs[name].read_text().replace(f"job {name}(", f"job {own}("))
                out[own] = rate / parts.get(name, 1)
        return out, sources

    def plan(self, loads, pools, sources=None):
        """The joint plan of jobs at their loads (runs a second), on pools {device: (count, price)}; None where they do not fit."""
        cluster = self.folder / "cluster.mkb"
        lines = [f"  {device} * {count} at {price:.6f} usd/h\n" for device, (count, price) in pools.items() if count]
        cluster.write_text("cluster paper_fleet {\n" + "".join(lines) + "}\n")
        sources = {**self.jobs, **(sources or {})}
        files = [str(sources[name]) for name in loads]
        load = ",".join(f"{name}={rate:.6f}/s" for name, rate in loads.items())
        words = [self.mkbc, "plan", *files, "--library", str(self.library), "--cluster", str(cluster), "--load", load]
        words += ["--utilisation", "100", "--time-limit", str(self.limit), "--json"]
        done = subprocess.run(words, capture_output=True, text=True)
        self.runs += 1
        if done.returncode != 0:
            said = done.stderr + done.stdout
            if any(code in said for code in ("E0621", "E0701", "E0710", "E0711", "no plan was found within")):
                return None
            raise SystemExit(f"{' '.join(words)}\n{done.stderr}{done.stdout}")
        return result(json.loads(done.stdout))

    def apart(self, days, pools):
        """By hour, each job on a fleet of its own: the setting of its busiest hour, as many replicas as each hour needs."""
        plans = {name: self.plan({name: max(rates)}, pools) for name, rates in days.items()}
        if None in plans.values():
            return [None]
        hours = range(len(next(iter(days.values()))))
        return [add([at_rate(plans[name], rates[hour] / max(rates)) for name, rates in days.items()]) for hour in hours]


def at_rate(plan, share):
    """The plan of one job with one instance, at a share of its rate."""
    used = plan.json["instances"][0]
    replicas = math.ceil(float(used["load"]) * share - 1e-9)
    held = {used["instance"]["device"]: replicas * used["instance"]["units"]}
    a100, h100 = held.get("a100", 0), held.get("h100", 0)
    return Result(a100, h100, a100 * A100 + h100 * H100, plan.kw * share, plan.json)


def result(joint):
    held = collections.Counter()
    for used in joint["instances"]:
        held[used["instance"]["device"]] += used["replicas"] * used["instance"]["units"]
    kw = 0.0
    for job in joint["jobs"]:
        for step, route in zip(job["plan"]["steps"], job["routes"]):
            # One run draws the whole instance's power for its latency, and shares it with the others of its slots.
            predicted = step["predicted"]
            kw += float(predicted["energy_wh"]) * 3.6 / float(predicted["latency_s"]) * float(route["load"])
    return Result(held["a100"], held["h100"], held["a100"] * A100 + held["h100"] * H100, kw, joint)


def add(plans):
    return Result(*(sum(getattr(p, of) for p in plans) for of in ("a100", "h100", "usd", "kw")), [p.json for p in plans])


def chosen(plan):
    """What carries out the steps, in words."""
    out = []
    for joint in plan.json if isinstance(plan.json, list) else [plan.json]:
        for job in joint["jobs"]:
            for step in job["plan"]["steps"]:
                hardware, knobs = step["hardware"], step["knobs"]
                out.append(f"{job['plan']['job']}: {step['implementation']} at {knobs['tokens']} tokens, "
                           f"{knobs['slots']} slots on {hardware['units']} {hardware['device']}")
    return out


def arrivals(published, of):
    trace = published["azure_hourly_req_per_s_total"]
    return list(zip(trace[f"chat_{of}"], trace[f"code_{of}"]))


def four(video, code):
    return {
        "video_accuracy": ACCURACY * video,
        "video_latency": LATENCY * video,
        "code_accuracy": ACCURACY * code,
        "code_latency": LATENCY * code,
    }


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def table2(planner, published):
    hours = arrivals(published, "peak")
    pools = {"a100": (4000, A100), "h100": (1000, H100)}
    classes = [four(*hour) for hour in hours]
    by_hand = planner.apart({name: [hour[at] for hour in hours] for at, name in enumerate(BY_HAND)}, pools)
    # Without an autoscaler, each workflow holds what its own busiest hour needs.
    held = planner.apart({name: [max(hour[at] for hour in hours)] for at, name in enumerate(BY_HAND)}, pools)[0]
    days = {"by hand": [Result(held.a100, held.h100, held.usd, plan.kw, held.json) for plan in by_hand]}
    days["by hand, scaled by the hour"] = by_hand
    days["each class of requests for itself"] = planner.apart({name: [c[name] for c in classes] for name in FOUR}, pools)
    days["all together"] = [planner.plan(hour, pools) for hour in classes]
    # The same where a GPU's price is what it draws, and where every GPU costs the same: least power, fewest GPUs.
    by_class = {name: [c[name] for c in classes] for name in FOUR}
    days["each class for itself, least power"] = planner.apart(by_class, {of: (4000, kw) for of, kw in KW.items()})
    days["each class for itself, fewest GPUs"] = planner.apart(by_class, {"a100": (4000, 1), "h100": (4000, 1)})
    paper = list(published["table2"].values())[:4] + [("", "", "")] * 2
    base = None
    rows = []
    for (name, day), (gpus, mwh, usd) in zip(days.items(), paper):
        if None in day:
            rows.append([name, gpus, "no plan within the time", usd, "", mwh, "", ""])
            continue
        most = max(day, key=lambda plan: plan.a100 + plan.h100)
        cost, energy = sum(p.usd for p in day) / 1000, sum(p.kw for p in day) / 1000
        own = (most.a100 + most.h100, cost, energy)
        planner.days[name] = own
        base = base or own
        times = ", ".join("?" if math.isnan(b / o) else f"{b / o:.2f}" for b, o in zip(base, own))
        rows.append([name, gpus, f"{own[0]} ({most.a100} + {most.h100})", usd, f"{cost:.1f}", mwh, f"{energy:.1f}", times])
    table(["policy", "GPUs, paper", "ours (A100 + H100)", "k$, paper", "ours", "MWh, paper", "ours (scale assumed)", "by hand / this: GPUs, $, Wh"], rows)
    peak = days["all together"][11]
    if peak:
        print("at 19:00, the busiest hour for code: " + "; ".join(chosen(peak)) + "\n")


def breakdown(p90, p50):
    """Where the way goes from by hand with the tokens of p90 to all together with those of p50: by hand / ours, factor by factor."""
    order = ["by hand", "by hand, scaled by the hour", "each class of requests for itself", "all together"]
    if any(name not in p50 for name in order) or "by hand" not in p90:
        return
    steps = [("tokens: by hand, p90 against p50", p90["by hand"], p50["by hand"])]
    words = ["the autoscaler (p50)", "what the planner chooses, at equal tokens (p50)", "sharing among the classes"]
    steps += [(word, p50[a], p50[b]) for word, a, b in zip(words, order, order[1:])]
    steps.append(("product", p90["by hand"], p50["all together"]))
    print("## breakdown\n")
    ratios = lambda a, b: [f"{x / y:.2f}" for x, y in zip(a, b)]
    table(["part", "GPUs", "cost", "energy while busy"], [[word, *ratios(a, b)] for word, a, b in steps])


def table3(planner, published):
    """Least power at the busiest hour: the pools' prices are the kilowatts of a busy GPU, by the same curves."""
    video, code = arrivals(published, "peak")[11]
    rows = []
    loads, sources = planner.sliced(four(video, code), {"video_accuracy": 2, "code_accuracy": 8, "code_latency": 2})
    for row in published["table3_min_energy"]:
        limit_a, limit_h, a100, h100 = row[:4]
        pools = {"a100": (limit_a, KW["a100"]), "h100": (limit_h, KW["h100"])}
        plan = planner.plan(loads, pools, sources)
        if plan is None:
            rows.append([limit_h, f"{a100} + {h100}", "does not fit", "", ""])
            continue
        held = plan.a100 * KW["a100"] + plan.h100 * KW["h100"]
        rows.append([limit_h, f"{a100} + {h100}", f"{plan.a100} + {plan.h100}", f"{held:.0f}", f"{plan.usd:.0f}"])
    table(["H100s there", "paper, A100 + H100", "ours", "kW held at 19:00", "list price, $/h"], rows)


def tiers(planner, published):
    hours = arrivals(published, "peak")
    pools = {"a100": (100_000, A100), "h100": (100_000, H100)}
    for of, (workflow, kind, metric, unit) in enumerate([
        ("video", "accuracy", "quality >= {} %", "accuracy_pct"),
        ("video", "latency", "latency <= {} s", "latency_s"),
        ("code", "accuracy", "quality >= {} %", "accuracy_pct"),
        ("code", "latency", "latency <= {} s", "latency_s"),
    ]):
        rates = [hour[0 if workflow == "video" else 1] for hour in hours]
        name, rows = f"{workflow}_{kind}", []
        text = (JOBS / f"{name}.mkb").read_text()
        for tier, limit in zip(published["slo_tiers"]["order"], published["slo_tiers"][f"{workflow}_{unit}"]):
            line = metric.format(limit)
            file = planner.folder / f"tier_{name}.mkb"
            file.write_text(re.sub(metric.split()[0] + r" (>=|<=) [0-9.]+ (%|s)", line, text, count=1))
            plan = planner.plan({name: max(rates)}, pools, {name: file})
            if plan is None:
                rows.append([tier, line, "no setting keeps it", "", ""])
                continue
            day = sum(at_rate(plan, rate / max(rates)).usd for rate in rates)
            rows.append([tier, line, chosen(plan)[0].split(": ", 1)[1], plan.a100 + plan.h100, f"{day / 1000:.1f}"])
        print(f"{workflow}, {kind}:\n")
        table(["tier", "line", "chosen", "GPUs at most", "k$ a day"], rows)


def epochs(planner, published):
    hours = arrivals(published, "peak")
    pools = {"a100": (4000, A100), "h100": (1000, H100)}
    rows, hourly = [], None
    for length in (1, 2, 3, 4, 6, 12, 24):
        windows = [hours[at:at + length] for at in range(0, 24, length)]
        tops = [(max(v for v, _ in w), max(c for _, c in w)) for w in windows]
        cost = sum(length * planner.plan(four(*top), pools).usd for top in tops) / 1000
        hourly = hourly or cost
        short = []
        for rates in zip(*tops):
            level = rates[0]
            for rate in rates[1:]:
                short.append(1 - level / rate)
                level += 0.5 * (rate - level)
        most = f"{max(0, *short):.0%}" if short else ""
        rows.append([length, f"{cost:.1f}", f"{cost / hourly - 1:+.1%}", most])
    table(["hours an epoch", "k$ a day, loads known", "against an hour", "EWMA 0.5: worst shortfall of a rate"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profiles", type=pathlib.Path)
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--only", default="table2,table3,tiers,epochs")
    parser.add_argument("--percentile", default="90,50")
    parser.add_argument("--time-limit", type=float, default=5)
    options = parser.parse_args()
    published = json.loads(options.profiles.read_text())
    parts = {"table2": table2, "table3": table3, "tiers": tiers, "epochs": epochs}
    days = {}
    with tempfile.TemporaryDirectory() as folder:
        for percentile in options.percentile.split(","):
            planner = Planner(options.mkbc, percentile, options.time_limit, pathlib.Path(folder))
            for part in options.only.split(","):
                print(f"## {part}, tokens of p{percentile}\n")
                parts[part](planner, published)
            print(f"{planner.runs} plans\n")
            days[percentile] = planner.days
    breakdown(days.get("90", {}), days.get("50", {}))


if __name__ == "__main__":
    main()
