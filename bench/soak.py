#!/usr/bin/env python3
"""A server with two deployed workflows under a load that changes, with cores lost and given back: is anything broken or planned silently?

    bench/soak.py --mkbc target/release/mkbc --minutes 20

Starts `mkbc serve` in a folder of its own, with a tool that really waits, and runs both workflows at rates that go up and down. In the middle
of it the cluster's file loses half of its cores, and gets them back later. At the end it is checked, from what clients saw:

- every run that was accepted has an answer;
- every run that took longer than its limit is counted in /metrics and stands in the audit log, and no other;
- every plan that was made says why, is in the audit log, and the loss of cores is among the causes;
- every run followed a plan that was in force.

Needs nothing but Python's own library. Exits with 1 where anything of this does not hold.
"""

import argparse
import collections
import datetime
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

LIMIT_S = 1.5
PAUSE_S = 0.2

PROFILE = f"""device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,{PAUSE_S},s,,,estimated,what the tool waits
,,quality,99,%,,,estimated,made for this check
"""

LIBRARY = f"""task shout(word: Text) -> Text

tool shouter implements shout {{
  runs on cpu * 1
  engine process {{ command ["sh", "-c", "sleep {PAUSE_S}; echo \\"$1!\\"", "shout", "{{word}}"] }}
  profile "shout.csv"
}}
"""


def job(name):
    return f"""use shout

job {name}(word: Text) -> Text {{
  slo {{
    latency <= {LIMIT_S} s
    cost <= 1 usd
  }}
  minimize cost

  shout(word)
}}
"""


def cluster(cores):
    return f"cluster soak {{\n  cpu * {cores} at 0.1 usd/h\n}}\n"


class Server:
    """A server in a folder."""

    def __init__(self, mkbc, folder, epoch):
        self.folder = folder
        words = ["serve", "--addr", "127.0.0.1:0", "--library", "lib", "--cluster", "soak.mkb"]
        words += ["--epoch", str(epoch), "--workers", "16"]
        log = open(folder / "serve.log", "a")
        self.process = subprocess.Popen([mkbc, *words], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        self.url = self.process.stdout.readline().strip().removeprefix("serving ")
        if not self.url:
            sys.exit(f"the server does not start: {(folder / 'serve.log').read_text()}")

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, method, path, body=None):
        status, text = self.ask(method, path, body)
        return status, json.loads(text)


def rate_at(share, peak):
    """Runs a second after this share of the time: two days of a wave, with a burst in the second."""
    wave = 0.5 - 0.45 * math.cos(4 * math.pi * share)
    burst = 1.6 if 0.70 < share < 0.74 else 1.0
    return max(0.1, peak * wave * burst)


def load(server, name, seconds, peak, accepted, refused):
    """Runs a workflow at a rate that changes; nobody waits for the answers."""
    began, due = time.monotonic(), 0.0
    while (now := time.monotonic() - began) < seconds:
        if now < due:
            time.sleep(min(0.05, due - now))
            continue
        status, run = server.json("POST", f"/v1/workflows/{name}/run?wait_s=0", {"word": name})
        (accepted if status in (200, 202) else refused).append((name, run.get("id"), status))
        due = max(due, now - 1.0) + 1.0 / rate_at(now / seconds, peak)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--cores", type=int, default=4, help="cores of the cluster's file, half of which are lost")
    parser.add_argument("--peak", type=float, default=5.0, help="runs a second of each workflow at the height of its wave")
    options = parser.parse_args()
    mkbc, seconds = str(pathlib.Path(options.mkbc).resolve()), options.minutes * 60
    # A day of the load is half of the time, and has about twelve epochs.
    epoch = max(6, round(seconds / 24))
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "lib/profiles").mkdir(parents=True)
        (folder / "lib/profiles/shout.csv").write_text(PROFILE)
        (folder / "lib/shout.mkb").write_text(LIBRARY)
        (folder / "soak.mkb").write_text(cluster(options.cores))
        server = Server(mkbc, folder, epoch)
        try:
            for workflow in ("loud", "calls"):
                status, said = server.json("POST", "/v1/workflows", {"source": job(workflow), "rate": "1/s"})
                if status != 201:
                    sys.exit(f"`{workflow}` is not deployed: {said}")
            accepted, refused, plans = [], [], set()
            threads = [
                threading.Thread(target=load, args=(server, workflow, seconds, options.peak, accepted, refused))
                for workflow in ("loud", "calls")
            ]
            [thread.start() for thread in threads]
            began, lost, back, most = time.monotonic(), False, False, 0
            while any(thread.is_alive() for thread in threads):
                share = (time.monotonic() - began) / seconds
                if not lost and share > 0.25:
                    (folder / "soak.mkb").write_text(cluster(options.cores // 2))
                    lost = True
                if not back and share > 0.5:
                    (folder / "soak.mkb").write_text(cluster(options.cores))
                    back = True
                _, all_of = server.json("GET", "/v1/workflows")
                plans |= {workflow["plan"] for workflow in all_of["workflows"]}
                _, fleet = server.json("GET", "/v1/fleet")
                most = max([most] + [used["replicas"] for used in fleet["instances"]])
                time.sleep(0.2)
            wrong += check(server, accepted, refused, plans, lost)
            print(f"most replicas at once: {most}")
        finally:
            server.process.terminate()
            server.process.wait()
    for what in wrong:
        print(f"WRONG: {what}")
    sys.exit(1 if wrong else 0)


def check(server, accepted, refused, plans, lost):
    wrong = []
    runs = {}
    for _, number, _ in accepted:
        until = time.monotonic() + 120
        while True:
            _, run = server.json("GET", f"/v1/runs/{number}")
            if run["state"] in ("done", "failed", "cancelled") or time.monotonic() > until:
                break
            time.sleep(0.2)
        runs[number] = run
    states = collections.Counter(run["state"] for run in runs.values())
    print(f"{len(accepted)} runs accepted, {len(refused)} not; {dict(states)}")
    if set(states) != {"done"} or len(runs) != len(accepted):
        wrong.append(f"not every accepted run has an answer: {dict(states)}")
    # What a client sees of the times: the same milliseconds that the server counts.
    took = {n: (moment(run["changed"]) - moment(run["submitted"])).total_seconds() for n, run in runs.items()}
    late = {n for n, seconds in took.items() if seconds > LIMIT_S}
    notes = [json.loads(line) for line in (server.folder / ".mkbc/service/audit.log").read_text().splitlines()]
    noted = {note["run"] for note in notes if note["what"] == "broken"}
    counted = 0.0
    for line in server.ask("GET", "/metrics")[1].decode().splitlines():
        if line.startswith("mkbc_workflow_broken_total") and "latency" in line:
            counted += float(line.rsplit(" ", 1)[1])
    ordered = sorted(took.values())
    at = lambda share: ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    print(f"latency p50 {at(0.5):.2f} s, p95 {at(0.95):.2f} s, p99 {at(0.99):.2f} s; limit {LIMIT_S} s")
    print(f"runs beyond the limit: {len(late)} seen by clients, {len(noted)} in the audit log, {counted:.0f} in /metrics")
    if late != noted or len(late) != round(counted):
        wrong.append(f"limits were broken silently, or counted without reason: {sorted(late ^ noted)}")
    # Plans.
    _, fleet = server.json("GET", "/v1/fleet")
    replans, logged = fleet["replans"], [note["note"] for note in notes if note["what"] == "replan"]
    verdicts = collections.Counter(made["verdict"] for made in replans)
    print(f"{len(logged)} plans made: {dict(verdicts)}")
    causes = [why for made in replans for why in made["because"]]
    for made in replans:
        if not made["because"]:
            wrong.append(f"plan {made['plan']} does not say why it was made")
        if made["verdict"] in ("scaled", "changed") and not made["changes"]:
            wrong.append(f"plan {made['plan']} does not say what it changes")
        if made["verdict"] == "refused" and not made["broken"]:
            wrong.append(f"it is not said why there is no plan at {made['at']}")
    if len(logged) != len(replans) and len(replans) < 100:
        wrong.append(f"{len(logged)} plans are in the audit log, and {len(replans)} are shown")
    numbers = sorted({made["plan"] for made in replans if made["verdict"] != "refused"})
    if len(replans) < 100 and numbers != list(range(1, fleet["plan"]["number"] + 1)):
        wrong.append(f"plans were put in force without a word: {numbers}, now {fleet['plan']['number']}")
    if lost and not any("are gone" in why for why in causes):
        wrong.append("cores were lost, and no plan was made for that")
    unknown = {run["plan"] for run in runs.values()} - plans
    if unknown:
        print(f"{len(unknown)} plans were in force too shortly to be seen from outside")
    for made in reversed(replans):
        saves = made["saves_usd_per_hour"]
        saved = "" if not saves else f", saves {saves:.3f} usd/h"
        print(f"  {made['at'][11:19]} plan {made['plan']} {made['verdict']}: {'; '.join(made['because'])}{saved}")
        for line in made["changes"] + (made["broken"] or "").splitlines()[:1]:
            print(f"             {line}")
    return wrong


main()
