#!/usr/bin/env python3
"""What another host adds to a run: the same runs on the server's own machine and by `mkbc worker`, milliseconds a run.

    bench/hosts.py --mkbc target/release/mkbc

Server and worker are processes of this machine and speak over the loopback interface, so that what is measured is work (files, records that are
on the disk at the server before they count, questions for places) and no network. Each run is one call of a program that does nothing. `one
after the other` waits for each answer before the next run is submitted; `together` submits all, and carries out as many at a time as said.
Runs are submitted as plans, and those of a deployed workflow through its endpoint. Exits with 1 where a run has no answer.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

LIBRARY = """task same(word: Text) -> Text {
}
tool echo implements same {
  runs on cpu * 1
  engine process { command ["echo", "{word}"] }
  profile "echo.csv"
}
"""
PROFILE = """device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,0.001,s,,,estimated,made for this check
,,quality,99,%,,,estimated,made for this check
"""
JOB = "use same\njob said(word: Text) -> Text {\n  minimize cost\n  same(word)\n}\n"
HOST = "127.0.0.1"


class Site:
    """A server in a folder of its own, and a worker where it has no room itself."""

    def __init__(self, mkbc, folder, at_once, remote):
        (folder / "lib/profiles").mkdir(parents=True)
        (folder / "lib/same.mkb").write_text(LIBRARY)
        (folder / "lib/profiles/echo.csv").write_text(PROFILE)
        (folder / "job.mkb").write_text(JOB)
        self.mkbc, self.folder, self.processes = mkbc, folder, []
        self.token = self.drawn("--new-token", "root", "sees_all = true\nrequests_per_s = 100000\n")
        worker = self.drawn("--new-worker-token", "site", "")
        (folder / "worker.token").write_text(worker)
        (folder / "worker.token").chmod(0o600)
        workers = 0 if remote else at_once
        words = ["serve", "--addr", f"{HOST}:0", "--tokens", "tokens.toml", "--library", "lib", "--workers", str(workers)]
        server = self.start(words, subprocess.PIPE)
        self.port = int(server.stdout.readline().strip().rsplit(":", 1)[1])
        if remote:
            url = f"http://{HOST}:{self.port}"
            self.start(["worker", "--to", url, "--token-file", "worker.token", "--runs", str(at_once), "--library", "lib"], None)
            until("the worker", lambda: any(not host["lost"] for host in self.ask("GET", "/v1/fleet")[1]["hosts"]))

    def drawn(self, option, name, more):
        done = subprocess.run([self.mkbc, "serve", option, name], capture_output=True, text=True, check=True)
        with open(self.folder / "tokens.toml", "a") as file:
            file.write(done.stdout.rstrip() + "\n" + more)
        (self.folder / "tokens.toml").chmod(0o600)
        return done.stderr.strip().rsplit(" ", 1)[1]

    def start(self, words, out):
        log = open(self.folder / f"{words[0]}.log", "w")
        process = subprocess.Popen([self.mkbc, *words], cwd=self.folder, stdout=out or log, stderr=log, text=True)
        self.processes.append(process)
        return process

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=300)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read() or "null")
        connection.close()
        return answer

    def end(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait()


def until(what, there):
    since = time.monotonic()
    while not there():
        if time.monotonic() - since > 60:
            sys.exit(f"{what}: not after 60 s")
        time.sleep(0.05)


def submitted(site, plan, n):
    status, run = site.ask("POST", "/v1/runs", {"plan": plan, "inputs": {"word": str(n)}})
    if status != 202:
        sys.exit(f"a run is refused: {run}")
    return run["id"]


def answered(site, id, n):
    while True:
        status, said = site.ask("GET", f"/v1/runs/{id}/result?wait_s=60")
        if status == 200 and said["result"] == str(n):
            return
        if status != 202:
            sys.exit(f"run {id} has no answer: {status} {said}")


def deployed(site, n):
    status, said = site.ask("POST", "/v1/workflows/said/run", {"word": str(n)})
    if status != 200 or said["result"] != str(n):
        sys.exit(f"the workflow does not answer: {status} {said}")


def measured(site, plan, runs, at_once):
    """Milliseconds a run: one after the other, together, and through the workflow's endpoint one after the other."""
    alone, through = [], []
    for n in range(runs // 4 + 3):
        since = time.monotonic()
        answered(site, submitted(site, plan, n), n)
        alone.append(time.monotonic() - since)
    since = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: submitted(site, plan, n), range(runs)))
    for n, id in enumerate(ids):
        answered(site, id, n)
    together = (time.monotonic() - since) / runs
    for n in range(runs // 4 + 3):
        since = time.monotonic()
        deployed(site, n)
        through.append(time.monotonic() - since)
    # The first ones find nothing ready.
    return [1e3 * seconds for seconds in (statistics.median(alone[3:]), together, statistics.median(through[3:]))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mkbc", type=pathlib.Path, default=pathlib.Path("target/release/mkbc"))
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    mkbc = options.mkbc.absolute()
    rows = {}
    for _ in range(options.repeat):
        for remote in (False, True):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="hosts-bench-"))
            site = Site(mkbc, folder, options.at_once, remote)
            try:
                words = [mkbc, "plan", "job.mkb", "--library", "lib", "--cluster", "here", "--json", "--word", "1"]
                plan = json.loads(subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout)
                status, said = site.ask("POST", "/v1/workflows", {"source": JOB, "rate": "1/s"})
                if status != 201:
                    sys.exit(f"the workflow is refused: {said}")
                rows.setdefault(remote, []).append(measured(site, plan, options.runs, options.at_once))
            finally:
                site.end()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.runs} runs, {options.at_once} at a time; ms a run, medians of {options.repeat} (least to most); load {os.getloadavg()[0]:.1f}\n")
    print("| what | here | by a worker | added |\n|---|---|---|---|")
    for at, what in enumerate(("one after the other", "together", "a workflow's endpoint, one after the other")):
        here, there = ([row[at] for row in rows[remote]] for remote in (False, True))
        shown = lambda all: f"{statistics.median(all):.1f} ({min(all):.1f} to {max(all):.1f})"
        print(f"| {what} | {shown(here)} | {shown(there)} | {statistics.median(there) - statistics.median(here):.1f} |")


if __name__ == "__main__":
    main()
