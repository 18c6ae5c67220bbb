#!/usr/bin/env python3
"""Two workflows that ask one model, each on a fleet of its own and then on one together: what does sharing save, as planned and as measured?

    bench/sharing.py --mkbc target/release/mkbc

The model is a tiny Llama with random weights, served by llama.cpp's own server on a core. First it is measured how long a call takes; both
workflows are then run so often that each keeps a server busy for a third of its time. The solver plans them apart and together. Then both
are deployed on two servers of mkbc, one each, and after that on one, and are run at the same times; what model servers there are, what memory
they hold (PSS) and what they compute is read from /proc.

Needs `~/.cache/mkbc/llama` with `xllamacpp` and `gguf` (docs/servers.md). Exits with 1 where a run fails, or where together there are not
fewer model servers than apart.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TOKENS = 1500
"""Tokens of an answer, at most."""
FIELDS = " ".join(f"mark_{number}: Bool" for number in range(12))
"""What an answer has: random weights never end by themselves, but for a form that is filled in."""
CORE = 0.05
"""Dollars an hour for a core, as the cluster says."""
LOAD = 0.33
"""The share of a server's time that each workflow takes."""

LIBRARY = f"""type Marks {{ {FIELDS.replace(" mark", ", mark")} }}
task answer(question: Text) -> Marks {{
  work question.tokens
  prompt "Mark this question: {{question}}"
  max_tokens {TOKENS}
}}
task judge(text: Text) -> Marks {{
  work text.tokens
  prompt "Mark this text: {{text}}"
  max_tokens {TOKENS}
}}
model tiny implements answer, judge {{
  license "Apache-2.0"
  runs on cpu * 1
  engine server {{
    serve llama_cpp
    model "tiny"
    weights "WEIGHTS"
    context 2048
    url "http://127.0.0.1:8080/v1"
    url_env TINY_BASE_URL
  }}
  profile "tiny.csv"
}}
"""

JOBS = {
    "ask": "use tiny\n\njob ask(question: Text) -> Marks {\n  expect question of 20 tok\n  slo {\n    latency <= 60 s\n  }\n  minimize cost\n\n  answer(question)\n}\n",
    "brief": "use tiny\n\njob brief(text: Text) -> Marks {\n  expect text of 20 tok\n  slo {\n    latency <= 60 s\n  }\n  minimize cost\n\n  judge(text)\n}\n",
}
INPUT = {"ask": "question", "brief": "text"}


def profile(seconds, memory):
    rows = [("latency", seconds, "s"), ("memory", memory, "GB"), ("power", 5, "W")]
    head = "device,units,figure,value,unit,low,high,evidence,source\n"
    measured = "".join(f"cpu,,{name},{value},{unit},,,estimated,what this script saw\n" for name, value, unit in rows)
    return f"{head}{measured},,quality,50,%,,,estimated,it writes nonsense\n"


def call(url, path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=120) as response:
        return response.status, json.load(response)


class Models(threading.Thread):
    """Looks at the model servers with some weights: how many, their memory, their processor time."""

    def __init__(self, weights):
        super().__init__(daemon=True)
        self.weights, self.over = weights, threading.Event()
        self.most, self.memory, self.cpu = 0, 0, {}

    def look(self):
        memory, count = 0, 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                # A server's guard has the command line of mkbc.
                if self.weights.encode() not in words or b"--model" not in words or b"llama_server.py" not in b" ".join(words[:3]):
                    continue
                rollup = pathlib.Path(f"/proc/{name}/smaps_rollup").read_text()
                fields = pathlib.Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            count += 1
            memory += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            self.cpu[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.most, self.memory = max(self.most, count), max(self.memory, memory)

    def run(self):
        while not self.over.wait(0.25):
            self.look()

    def end(self):
        self.look()
        self.over.set()
        self.join()
        return {"instances": self.most, "memory_mb": self.memory / 1024, "cpu_s": sum(self.cpu.values())}


class Server:
    """A server of mkbc with some workflows."""

    def __init__(self, mkbc, folder, env, name, jobs, rate):
        self.folder = folder / name
        self.folder.mkdir()
        log = open(self.folder / "serve.log", "w")
        words = [mkbc, "serve", "--addr", "127.0.0.1:0", "--library", folder / "lib", "--cluster", folder / "one.mkb", "--workers", "8"]
        self.process = subprocess.Popen(words, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        self.url = self.process.stdout.readline().strip().removeprefix("serving ")
        if not self.url:
            sys.exit(f"the server does not start: {(self.folder / 'serve.log').read_text()}")
        for job in jobs:
            call(self.url, "/v1/workflows", {"source": JOBS[job], "rate": f"{rate}/s"})
        # Model servers start with the first run that needs them.
        for job in jobs:
            self.ask(job, "warm")

    def ask(self, job, text):
        since = time.monotonic()
        status, told = call(self.url, f"/v1/workflows/{job}/run?wait_s=60", {INPUT[job]: text})
        if status != 200 or "result" not in told:
            sys.exit(f"{job}: {status} {told}")
        return time.monotonic() - since

    def fleet(self):
        return call(self.url, "/v1/fleet")[1]

    def end(self):
        self.process.terminate()
        self.process.wait()


def drive(of, arrivals):
    """Runs each workflow at these seconds, on the server that has it; the seconds that the runs took, by workflow."""
    took, threads, since = {job: [] for job in JOBS}, [], time.monotonic()
    for at, job in sorted((at, job) for job, times in arrivals.items() for at in times):
        time.sleep(max(0.0, since + at - time.monotonic()))
        ask = lambda job=job, at=at: took[job].append(of[job].ask(job, f"text {at:.3f}"))
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if any(len(took[job]) != len(arrivals[job]) for job in JOBS):
        sys.exit("a run has no answer")
    return took


def figures(seconds):
    seconds = sorted(seconds)
    return {"runs": len(seconds), "p50": statistics.median(seconds), "p95": seconds[int(0.95 * (len(seconds) - 1))]}


def measured(mkbc, folder, env, name, groups, rate, arrivals, weights):
    models = Models(weights)
    servers, of = [], {}
    for number, jobs in enumerate(groups):
        servers.append(Server(mkbc, folder, env, f"{name}{number}", jobs, rate))
        of.update({job: servers[-1] for job in jobs})
    models.start()
    since = time.monotonic()
    took = drive(of, arrivals)
    seconds = time.monotonic() - since
    found = models.end()
    fleets = [server.fleet() for server in servers]
    for server in servers:
        server.end()
    found["planned"] = sum(used["replicas"] for fleet in fleets for used in fleet["instances"])
    found["usd_per_hour"] = sum(fleet["plan"]["usd_per_hour"] for fleet in fleets)
    found["busy"] = found["cpu_s"] / seconds / max(1, found["instances"])
    return {**found, **{job: figures(took[job]) for job in JOBS}}


def calibrated(mkbc, folder, env):
    """Seconds of a call and gigabytes of the server, from runs one after the other."""
    seconds, memory = [], []
    for number in range(7):
        words = [mkbc, "run", "ask.mkb", "--library", "lib", "--cluster", "one.mkb", "--json", "--no-cache", "--question", f"text {number}"]
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        report = json.loads(done.stdout)
        seconds.append(report["steps"][0]["busy_s"])
        memory.append(report["servers"][0]["peak_gb"] or 0.1)
    return statistics.median(seconds), max(memory)


def planned(mkbc, folder, env, rate):
    load = ",".join(f"{job}={rate}/s" for job in JOBS)
    words = [mkbc, "plan", "ask.mkb", "brief.mkb", "--library", "lib", "--cluster", "one.mkb", "--load", load, "-o", "joint.json"]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    joint = json.loads((folder / "joint.json").read_text())
    total = joint["total"]
    return sum(used["replicas"] for used in joint["instances"]), float(total["usd_per_hour"]), float(total["alone_usd_per_hour"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mkbc", type=pathlib.Path, default=pathlib.Path("target/release/mkbc"))
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path("~/.cache/mkbc/llama/bin/python").expanduser())
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    mkbc = options.mkbc.absolute()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sharing-"))
    try:
        (folder / "lib/profiles").mkdir(parents=True)
        (folder / "bin").mkdir()
        program = folder / "bin/llama-server"
        program.write_text(f"#!/bin/sh\nexec {options.python} {REPOSITORY}/tests/servers/llama_server.py \"$@\"\n")
        program.chmod(0o755)
        weights = folder / "tiny.gguf"
        subprocess.run([options.python, REPOSITORY / "tests/data/tiny_gguf.py", weights], check=True)
        (folder / "lib/tiny.mkb").write_text(LIBRARY.replace("WEIGHTS", str(weights)))
        (folder / "lib/profiles/tiny.csv").write_text(profile(1, 0.1))
        (folder / "one.mkb").write_text(f"cluster one {{\n  cpu * 2 at {CORE} usd/h\n}}\n")
        for job, text in JOBS.items():
            (folder / f"{job}.mkb").write_text(text)
        env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        env.pop("TINY_BASE_URL", None)
        seconds, memory = calibrated(mkbc, folder, env)
        rate = round(LOAD / seconds, 3)
        print(f"A call takes {seconds:.3f} s and its server {memory:.3f} GB; each workflow runs {rate} times a second, for {options.seconds:.0f} s.\n")
        (folder / "lib/profiles/tiny.csv").write_text(profile(round(seconds, 4), round(memory, 3)))
        replicas, together, alone = planned(mkbc, folder, env, rate)
        draw = random.Random(options.seed)
        count = int(rate * options.seconds)
        arrivals = {job: sorted(draw.uniform(0, options.seconds) for _ in range(count)) for job in JOBS}
        apart = measured(mkbc, folder, env, "apart", [["ask"], ["brief"]], rate, arrivals, str(weights))
        shared = measured(mkbc, folder, env, "together", [["ask", "brief"]], rate, arrivals, str(weights))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    saved = lambda before, after: f"{100 * (1 - after / before):.0f} %" if before else "-"
    rows = [
        ("model servers, by the solver's joint plan", len(JOBS), replicas, ""),
        ("usd/h, by the solver's joint plan", alone, together, ".3f"),
        ("model servers, by the plans in force", apart["planned"], shared["planned"], ""),
        ("usd/h, by the plans in force", apart["usd_per_hour"], shared["usd_per_hour"], ".3f"),
        ("model servers, measured", apart["instances"], shared["instances"], ""),
        ("memory of model servers (PSS), MB, measured", apart["memory_mb"], shared["memory_mb"], ".0f"),
        ("processor seconds of model servers, measured", apart["cpu_s"], shared["cpu_s"], ".1f"),
    ]
    print("| | apart | together | saved |\n|---|---|---|---|")
    for what, before, after, form in rows:
        print(f"| {what} | {before:{form}} | {after:{form}} | {saved(before, after)} |")
    print(f"| share of a model server's time in use, measured | {apart['busy']:.2f} | {shared['busy']:.2f} | |")
    for job in JOBS:
        for figure in ("p50", "p95"):
            print(f"| `{job}`: {figure} of {apart[job]['runs']} runs, s | {apart[job][figure]:.3f} | {shared[job][figure]:.3f} | |")
    if shared["instances"] >= apart["instances"] or replicas >= len(JOBS):
        sys.exit("together there are not fewer model servers than apart")


if __name__ == "__main__":
    main()
