#!/usr/bin/env python3
"""The simulator against the service on this machine: the same jobs, plan and trace, once simulated and once for real.

    python3 bench/validate.py [--runs 80] [--minutes 5] [--load 0.6] [--seed 1] [--mkbc target/release/mkbc] [--keep DIR]

A job reads scanned documents of one and of four pages by Tesseract. First `mkbc profile` measures the tool here; then a plan on as many replicas as this
machine has cores is made for a trace of Poisson arrivals that keeps them busy for the share --load, and simulated; then `mkbc serve` with as many
workers gets the same documents at the same times. Needs pdftoppm, pdfunite, tesseract, and a machine that does nothing else.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOB = """use std.document

/// Reads a scanned document.
job read(letter: Document) -> List[Text] {{
  slo {{
    latency <= 600 s
  }}
  using tesseract_pages(dpi: 150, psm: 3)
  minimize cost
  expect letter of {pages:.4f}
  expect {rate:.5f} requests/s

  document_text(letter)
}}
"""
PAGES = (1, 4)


def call(mkbc, *words, cwd=None):
    done = subprocess.run([str(mkbc), *map(str, words)], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"mkbc {' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def percentiles(times):
    cut = statistics.quantiles(times, n=100, method="inclusive")
    return {"mean": statistics.mean(times), "p50": cut[49], "p90": cut[89], "p95": cut[94]}


def request(base, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(base + path, data=data, headers=headers), timeout=120) as answer:
        return json.load(answer)


def awaited(base, run):
    """The answer of a run, however long it takes: the service waits for a minute at a time, and says 409 where there is none yet."""
    while True:
        try:
            return request(base, f"/v1/runs/{run}/result?wait_s=60")
        except urllib.error.HTTPError as fault:
            state = request(base, f"/v1/runs/{run}")
            if fault.code != 409 or state["state"] not in ("queued", "running", "done"):
                raise RuntimeError(f"{state['state']}: {state.get('error')}") from fault


def served(mkbc, folder, documents, arrivals, workers):
    """Latencies of the runs (seconds from submission to the answer), and the share of the time that workers were busy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    words = ["serve", "--addr", base[7:], "--library", folder / "lib", "--workers", workers, "--allow-files", folder]
    log = open(folder / "serve.log", "w")
    server = subprocess.Popen([str(mkbc), *map(str, words)], cwd=folder / "project", stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                request(base, "/healthz")
                break
            except OSError:
                time.sleep(0.05)
        plan = json.loads((folder / "plan.json").read_text())
        latencies, took, faults = [0.0] * len(arrivals), [0.0] * len(arrivals), []

        def one(at, pages, begin):
            try:
                time.sleep(max(0.0, begin + arrivals[at] - time.monotonic()))
                sent = time.monotonic()
                # What was read before is not read again: each run has a document of its own.
                own = folder / f"run{at}.pdf"
                own.write_bytes(documents[pages].read_bytes() + f"\n% {at}\n".encode())
                run = request(base, "/v1/runs", {"plan": plan, "inputs": {"letter": str(own)}})
                answer = awaited(base, run["id"])
                latencies[at], took[at] = time.monotonic() - sent, answer["took_s"]
            except Exception as fault:  # noqa: BLE001: reported below
                faults.append(f"run {at}: {fault} {getattr(fault, 'read', lambda: b'')()[:300]}")

        begin = time.monotonic() + 1
        threads = [threading.Thread(target=one, args=(at, pages, begin)) for at, pages in enumerate(sizes(arrivals))]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if faults:
            raise SystemExit("\n".join(faults[:5]))
        return latencies, sum(took) / workers / (time.monotonic() - begin)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        log.close()


def sizes(arrivals):
    """The pages of each document: drawn, and the same in every part of this script."""
    draw = random.Random(7)
    return [draw.choice(PAGES) for _ in arrivals]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--load", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mkbc", default="target/release/mkbc")
    parser.add_argument("--keep")
    asked = parser.parse_args()
    mkbc, cores = pathlib.Path(asked.mkbc).resolve(), len(os.sched_getaffinity(0))
    folder = pathlib.Path(asked.keep or tempfile.mkdtemp(prefix="validate-")).resolve()
    (folder / "project").mkdir(parents=True, exist_ok=True)
    media = ROOT / "examples" / "media"
    subprocess.run(["bash", str(media / "make.sh"), str(media), "--quiet"], check=True)
    documents = {pages: folder / f"letter{pages}.pdf" for pages in PAGES}
    for pages, file in documents.items():
        subprocess.run(["pdfunite", *[str(media / "letter.pdf")] * pages, str(file)], check=True)
    # As the service will call it: with all cores at work, since they share caches, memory and clock.
    others = [subprocess.Popen(["bash", "-c", "while :; do :; done"]) for _ in range(cores - 1)]
    try:
        call(mkbc, "profile", "tesseract_pages", "--document", *documents.values(), "--knob", "dpi=150", "--knob", "psm=3",
             "--units", "1", "--most", "8", "--seconds", "60", "-o", folder / "lib")
    finally:
        [other.kill() for other in others]
    cluster = folder / "here.mkb"
    cluster.write_text(f"/// This machine.\ncluster here {{\n  cpu * {cores} at 0.05 usd/h\n}}\n")
    job = folder / "read.mkb"
    mean = sum(sizes(range(asked.runs))) / asked.runs

    def plan(rate):
        job.write_text(JOB.format(pages=mean, rate=rate))
        words = ["--library", folder / "lib", "--cluster", cluster]
        call(mkbc, "plan", job, *words, "-o", folder / "plan.json", cwd=folder)
        return json.loads((folder / "plan.json").read_text()), words

    def alone():
        return float(plan(0.001)[0]["steps"][0]["predicted"]["latency_s"])

    asked.runs = min(asked.runs, max(10, int(60 * asked.minutes * asked.load * cores / alone())))
    # Sizes of a trace are shares of their mean, and the mean is what the job expects.
    mean = sum(sizes(range(asked.runs))) / asked.runs
    each = alone()
    rate = asked.load * cores / each
    draw, at, arrivals = random.Random(asked.seed), 0.0, []
    for _ in range(asked.runs):
        arrivals.append(at)
        at += draw.expovariate(rate)
    trace = folder / "trace.csv"
    lines = "".join(f"{at:.6f},{pages},1\n" for at, pages in zip(arrivals, sizes(arrivals)))
    trace.write_text("timestamp,input,output\n" + lines)
    _, words = plan(rate)
    # One replica a core, whatever the plan would take: what the service has.
    joint = folder / "joint.json"
    call(mkbc, "plan", job, *words, "--load", f"read={0.8 * cores / each / 1.02:.5f}/s", "-o", joint, cwd=folder)
    if "instances" not in json.loads(joint.read_text()):
        raise SystemExit("no joint plan was made of one job: the script needs one")
    said = json.loads(call(mkbc, "simulate", job, *words, "--trace", trace, "--policy", "mine", "--policy-plan", f"mine={joint}",
                           "--hours", (at + 600) / 3600, "--format", "json", cwd=folder))
    outcome = said["policies"][0]["outcome"]
    latency = outcome["runs"]["latency"]
    simulated = {"mean": latency["mean_s"], "p50": latency["p50_s"], "p90": latency.get("p90_s"), "p95": latency["p95_s"]}
    print(f"{asked.runs} runs, {each:.2f} s each as planned, {60 * rate:.1f} a minute on {cores} replicas", flush=True)
    latencies, busy = served(mkbc, folder, documents, arrivals, cores)
    measured = percentiles(latencies)
    print(f"{'':10} {'simulated':>10} {'served':>10} {'off':>8}")
    off = {name: simulated[name] / real - 1 for name, real in measured.items() if simulated.get(name) is not None}
    for name, share in off.items():
        print(f"{name + ' s':10} {simulated[name]:10.3f} {measured[name]:10.3f} {100 * share:+7.1f} %")
    # Replicas are held all the time on both sides: what work costs is the share of it in which they are busy.
    work = outcome["busy"] * outcome["hours"] * 3600 / max(latencies[-1] + arrivals[-1], 1)
    off["cost"] = work / busy - 1
    print(f"{'cost: busy':10} {100 * work:9.1f} % {100 * busy:9.1f} % {100 * off['cost']:+7.1f} %")
    print(f"at most {100 * max(map(abs, off.values())):.1f} % off: {'within' if max(map(abs, off.values())) <= 0.15 else 'NOT within'} 15 %")


if __name__ == "__main__":
    main()
