#!/usr/bin/env python3
"""Beyond the paper's evaluation: public traces, prefixes that are shared, several tenants, spot devices that go, prices that move.

    python3 bench/beyond.py TRACES [--mkbc target/release/mkbc] [--only mooncake,tenants,spot,prices] [--rounds 200]

TRACES is a folder with azure_llm_2023_conv.csv.gz and azure_llm_2023_code.csv.gz (github:Azure/AzurePublicDataset, CC-BY-4.0) and
mooncake_fast25_conversation.jsonl.gz (github:kvcache-ai/Mooncake, Apache-2.0). Each of them is about an hour. Three tenants share a fleet: chats
(Azure's conversations), code (Azure's) and long chats (Mooncake's), each expecting the mean size of its trace; epochs of ten minutes. Everything
is seeded: the tables come again byte for byte, but for the times that commands take.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import tempfile

JOB = """use std.llm
use std.code

/// One of the tenants.
job {name}(asked: Text) -> Text {{
  slo {{
    latency <= {latency} s
    quality >= {quality} %
  }}
  only open_models
{pin}  minimize cost
  expect asked of {tokens} tok

  {call}(asked)
}}
"""
CLUSTER = """/// What the tenants share.
cluster shared {
  h100 * 32 at 6.88 usd/h
  a100 * 64 at 3.43 usd/h
  l4   * 128 at 0.805 usd/h
  cpu  * 512 at 0.0893 usd/h
}
"""
# Name: trace, tokens that go in on average, seconds, quality, task.
TENANTS = {
    "chats": ("azure_llm_2023_conv.csv.gz", 1155, 40, 50, "summarise"),
    "code": ("azure_llm_2023_code.csv.gz", 2048, 60, 70, "write_code"),
    "long_chats": ("mooncake_fast25_conversation.jsonl.gz", 12035, 40, 50, "summarise"),
}


def written(folder, tenants, pin=""):
    """The jobs, which may be pinned to a model, and the cluster."""
    (folder / "shared.mkb").write_text(CLUSTER)
    for name in tenants:
        _, tokens, latency, quality, call = TENANTS[name]
        text = JOB.format(name=name, latency=latency, quality=quality, tokens=tokens, call=call, pin=pin)
        (folder / f"{name}.mkb").write_text(text)


def simulated(asked, tenants, *more, pin=""):
    """The outcomes of a simulation by policy, and what was said."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        written(folder, tenants, pin)
        load = ",".join(f"{name}={asked.traces / TENANTS[name][0]}" for name in tenants)
        words = ["simulate", *(f"{name}.mkb" for name in tenants), "--cluster", "shared.mkb", "--load", load]
        words += ["--epoch", "10min", "--rounds", str(asked.rounds), *more]
        print(f"`mkbc {shlex.join(words)}`\n", flush=True)
        done = subprocess.run([asked.mkbc, *words, "--format", "json"], capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise SystemExit(done.stderr or done.stdout)
    said = json.loads(done.stdout)
    return {of["policy"]: of.get("outcome") for of in said["policies"]}, said["notes"]


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)


HEADER = ["GPUs at most", "GPU-h", "cost usd", "energy kWh", "busy", "p50 s", "p95 s", "late", "quality", "replicas lost"]


def figures(outcome):
    if outcome is None:
        return ["does not fit"] + [""] * (len(HEADER) - 1)
    spent, runs = outcome["spent"], outcome["runs"]
    energy = (spent["busy_wh"] + spent["idle_wh"]) / 1000
    return [
        outcome["gpus_peak"],
        f"{spent['gpu_hours']:.1f}",
        f"{spent['cost_usd']:.2f}",
        f"{energy:.2f}",
        f"{100 * outcome['busy']:.1f} %",
        f"{runs['latency']['p50_s']:.2f}",
        f"{runs['latency']['p95_s']:.2f}",
        f"{100 * runs['late_share']:.2f} %",
        f"{100 * runs['quality']:.1f} %",
        outcome["lost"],
    ]


def mooncake(asked):
    """What it helps that a replica keeps what it has read: with a dense model, for which reading is a large part of a call."""
    rows, pin = [], "  using chat(variant: gemma_3_27b)\n"
    for blocks in (0, 100, 1_000, 10_000):
        more = ["--policy", "joint", "--prefix-cache", str(blocks)]
        outcomes, _ = simulated(asked, ["long_chats"], *more, pin=pin)
        of = outcomes["joint"]
        rows.append([blocks, f"{100 * of['reused']:.1f} %", f"{of['runs']['latency']['mean_s']:.2f}", *figures(of)])
    table(["blocks of 512 tokens kept", "read before", "mean s", *HEADER], rows)


def tenants(asked):
    """All policies for three tenants, each with its own line, and the same tenants one by one."""
    outcomes, notes = simulated(asked, list(TENANTS), "--tier", "office=chats,long_chats")
    table(["policy", *HEADER], [[name, *figures(outcome)] for name, outcome in outcomes.items()])
    rows = []
    for name, outcome in outcomes.items():
        for of in (outcome["jobs"] + outcome["tiers"]) if outcome else []:
            spent, runs = of["spent"], of["runs"]
            energy = (spent["busy_wh"] + spent["idle_wh"]) / 1000
            late = f"{100 * runs['late_share']:.2f} %"
            rows.append([of["job"], name, runs["arrived"], f"{runs['latency']['p95_s']:.2f}", late,
                         f"{spent['gpu_hours']:.1f}", f"{spent['cost_usd']:.2f}", f"{energy:.2f}"])
    rows.sort(key=lambda row: row[0])
    table(["tenant or tier", "policy", "runs", "p95 s", "late", "GPU-h", "cost usd", "energy kWh"], rows)
    print("\n".join(notes) + "\n", flush=True)


def happens(asked, cases):
    """What becomes of `joint` and of `adaptive` in several cases."""
    rows = []
    for title, words in cases:
        outcomes, _ = simulated(asked, list(TENANTS), "--policy", "joint,adaptive", *words)
        rows += [[title, name, *figures(outcome)] for name, outcome in outcomes.items()]
    table(["what happens", "policy", *HEADER], rows)


def spot(asked):
    often = [f"{device}={{}}%/h" for device in ("h100", "a100", "l4")]
    words = lambda share: [word for device in often for word in ("--spot", device.format(share))]
    cases = [(f"each device goes {share / 100:g} times an hour", words(share)) for share in (5, 20, 50)]
    happens(asked, [("nothing", []), *cases])


def prices(asked):
    happens(asked, [
        ("an `l4` costs four times as much after 20 minutes", ["--change", "20min: l4 at 3.22 usd/h"]),
        ("an `h100` costs a third after 20 minutes", ["--change", "20min: h100 at 2.29 usd/h"]),
        ("all but five `h100` go after 20 minutes", ["--change", "20min: h100 * 5"]),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=pathlib.Path)
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--only", default="mooncake,tenants,spot,prices")
    parser.add_argument("--rounds", type=int, default=200)
    asked = parser.parse_args()
    asked.traces = asked.traces.resolve()
    asked.mkbc = str(pathlib.Path(asked.mkbc).resolve())
    parts = {"mooncake": mooncake, "tenants": tenants, "spot": spot, "prices": prices}
    for part in asked.only.split(","):
        print(f"## {part}\n", flush=True)
        parts[part](asked)


if __name__ == "__main__":
    main()
