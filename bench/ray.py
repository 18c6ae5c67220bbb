#!/usr/bin/env python3
"""A Ray cluster of three machines, and what runs on it: what a node takes, and how long it takes until a run goes on after something died.

    bench/ray.py --mkbc target/release/mkbc

The machines are network and mount namespaces of this one, joined by pairs of virtual network cards: a head without cores of its own, and two
nodes with a core each, of which one is spare. Each has its own `/tmp`, so that whatever is needed there must be sent there. First the cluster
asks for a token, then another one does not. It is checked that

- a run is refused without the token and with a wrong one, and for resources that are not there;
- a submission id that is taken is the job that has it;
- a run goes on, and ends with the right answer, when a worker, an actor, a raylet, a whole node, the network of a node or the driver is gone.

Prints times as a table. Exits with 1 where anything of this does not hold. Needs Linux's namespaces (`unshare -rnpfm`), `ip` and `nsenter`, and
a Ray of PyPI (docs/ray.md).
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

INSIDE = "MKBC_BENCH_INSIDE_RAY"
HEAD = "10.9.0.1"
LONGEST = 60.0
"""The longest wait for anything, seconds."""
TOKEN = "0123456789abcdef0123456789abcdef"

LIBRARY = """
task tell(text: Text) -> Text {
}
task held(text: Text) -> Text {
}
task great(text: Text) -> Text {
}
task copied(page: Document) -> Document {
}
tool teller implements tell {
  runs on cpu * 1
  engine python { module "words.py", function "tell" }
  profile "fake.csv"
}
tool holder implements held {
  runs on cpu * 1
  engine process { command ["sh", "HOLD", "{text}"] }
  profile "fake.csv"
}
tool giant implements great {
  runs on abacus * 2
  engine process { command ["true"] }
  profile "fake.csv"
}
tool copier implements copied {
  runs on cpu * 1
  engine process {
    command ["sh", "-c", "cp $0 $1/made.pgm && printf '{\\"file\\": \\"%s/made.pgm\\"}' $1", "{page}", "{out}"]
    read json
  }
  profile "fake.csv"
}
device abacus { kind gpu
  memory 16 GB
}
cluster three {
  cpu * 2 at 1 usd/h
  abacus * 4 at 1 usd/h
}
"""
PROFILE = """device,units,figure,value,unit,low,high,evidence,source
,,latency,1,s,,,estimated,made for this check
,,quality,90,%,,,estimated,made for this check
,,power,10,W,,,estimated,made for this check
"""
WORDS = 'import murakkab\n\nimport loud\n\n\n@murakkab.tool\ndef tell(text: str) -> str:\n    return loud.said(text)\n'
HOLD = "echo x >> HERE/begun\nwhile [ ! -e HERE/go ]; do sleep 0.02; done\necho held $1\n"


def said(*words):
    print(*words, file=sys.stderr, flush=True)


def wait(what, there):
    since = time.monotonic()
    while not there():
        if time.monotonic() - since > LONGEST:
            for pid in processes("hold.sh") + processes("mkbc") + processes("raylet/raylet"):
                said(pid, command(pid)[:200])
            sys.exit(f"{what}: not after {LONGEST:.0f} s")
        time.sleep(0.01)


def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def network(pid):
    """The network namespace that a process is in."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def processes(*words):
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and all(word in command(pid) for word in words)]


def kill(pids):
    if not pids:
        sys.exit("there is nothing to kill")
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Machine:
    """A network and a mount namespace with a `/tmp` of its own, joined to the head's network."""

    def __init__(self, number):
        self.name = f"node{number}"
        self.address = f"10.9.{number}.2"
        self.link = f"h{number}"
        script = "mount -t tmpfs tmpfs /tmp && exec sleep infinity"
        self.process = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", script])
        pid = str(self.process.pid)
        wait("a namespace", lambda: command(self.process.pid).startswith("sleep"))
        ip("link", "add", self.link, "type", "veth", "peer", "name", "up0", "netns", pid)
        ip("addr", "add", f"10.9.{number}.1/24", "dev", self.link)
        ip("link", "set", self.link, "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", f"{self.address}/24", "dev", "up0"], ["link", "set", "up0", "up"]):
            self.run("ip", *words)
        self.run("ip", "route", "add", "default", "via", f"10.9.{number}.1")
        self.ray = None

    def inside(self, *words):
        return ["nsenter", "-t", str(self.process.pid), "-n", "-m", *words]

    def run(self, *words):
        subprocess.run(self.inside(*words), check=True)

    def here(self, pid):
        return network(pid) == network(self.process.pid)

    def start(self, python, env):
        words = [str(python.with_name("ray")), "start", f"--address={HEAD}:6379", f"--node-ip-address={self.address}", "--num-cpus=1"]
        words += ["--block", "--object-store-memory=100000000", "--disable-usage-stats"]
        log = subprocess.DEVNULL
        self.ray = subprocess.Popen(self.inside(*words), env=env, stdout=log, stderr=log)

    def raylet(self):
        return [pid for pid in processes("raylet/raylet", f"--node_ip_address={self.address}")]

    def all(self):
        """All processes on it, but for the one that keeps the namespace."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [pid for pid in pids if pid != self.process.pid and self.here(pid)]


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Cluster:
    """A head and nodes."""

    def __init__(self, python, machines, token):
        self.python, self.machines, self.token = python, machines, token
        self.env = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "RAY_AUTH_MODE": "token" if token else "disabled"}
        self.env.pop("RAY_AUTH_TOKEN", None)
        if token:
            self.env["RAY_AUTH_TOKEN"] = token
        words = [str(python.with_name("ray")), "start", "--head", "--block", "--num-cpus=0", f"--node-ip-address={HEAD}", "--port=6379"]
        words += ["--dashboard-host=0.0.0.0", "--object-store-memory=100000000", "--disable-usage-stats"]
        # Not here: Ray's own modules are called like this script.
        self.head = subprocess.Popen(words, env=self.env, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait("the dashboard", lambda: self.asked("api/version") is not None)
        for machine in machines:
            machine.start(python, self.env)
        self.whole()

    def asked(self, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(f"http://{HEAD}:8265/{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except (OSError, ValueError):
            return None

    def alive(self):
        """Nodes that Ray says are alive."""
        found = self.asked("nodes?view=summary") or {}
        nodes = (found.get("data") or {}).get("summary") or []
        return [node["raylet"].get("nodeManagerAddress") for node in nodes if node.get("raylet", {}).get("state") == "ALIVE"]

    def whole(self):
        wait("all nodes", lambda: len(self.alive()) == 1 + len(self.machines))

    def again(self, machine):
        """A machine that died is there again."""
        left = machine.all()
        if left:
            kill(left)
        machine.ray.wait()
        wait("the end of a node", lambda: machine.address not in self.alive())
        machine.start(self.python, self.env)
        self.whole()

    def end(self):
        for machine in self.machines:
            left = machine.all()
            if left:
                kill(left)
            machine.ray.wait()
        # In this network there is nothing but the head and this script.
        kill([pid for pid in processes() if network(pid) == network("self")])
        self.head.wait()
        shutil.rmtree("/tmp/ray", ignore_errors=True)


class House:
    """A folder with jobs, tools and a journal."""

    def __init__(self, mkbc, slim, cluster):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ray-bench-", dir="."))
        self.folder = self.folder.absolute()
        self.mkbc, self.cluster = mkbc, cluster
        self.env = {**cluster.env, "MKBC_WORKER": str(slim)}
        (self.folder / "lib/profiles").mkdir(parents=True)
        write = lambda name, text: (self.folder / name).write_text(text)
        write("hold.sh", HOLD.replace("HERE", str(self.folder)))
        write("lib/house.mkb", LIBRARY.replace("HOLD", str(self.folder / "hold.sh")))
        write("lib/profiles/fake.csv", PROFILE)
        write("lib/words.py", WORDS)
        write("lib/loud.py", 'def said(text):\n    return f"{text.upper()}!"\n')
        write("page.pgm", "P5\n1 1\n255\nA")
        write("tell.mkb", "use house\njob told(text: Text) -> Text {\n  tell(text)\n}\n")
        write("held.mkb", "use house\njob kept(text: Text) -> Text {\n  held(tell(text))\n}\n")
        write("giant.mkb", "use house\njob much(text: Text) -> Text {\n  great(text)\n}\n")
        write("copy.mkb", "use house\njob copy(page: Document) -> Document {\n  copied(copied(page))\n}\n")

    def words(self, job, *more):
        host = HEAD if self.cluster.token else "127.0.0.1"
        return [self.mkbc, "run", job, "--library", "lib", "--cluster", "three", "--engine", f"ray://{host}:8265", "--no-cache", *more]

    def run(self, job, *more, token=True):
        env = dict(self.env)
        if token is not True:
            env.pop("RAY_AUTH_TOKEN", None)
            if token:
                env["RAY_AUTH_TOKEN"] = token
        since = time.monotonic()
        done = subprocess.run(self.words(job, *more), cwd=self.folder, env=env, capture_output=True, text=True)
        return done, time.monotonic() - since

    def begun(self):
        try:
            return len((self.folder / "begun").read_text().splitlines())
        except FileNotFoundError:
            return 0

    def killed(self, name, what):
        """Does something in the middle of a call, and lets the call end. Seconds until the call was begun again."""
        for mark in ("begun", "go"):
            (self.folder / mark).unlink(missing_ok=True)
        words = self.words("held.mkb", "--text", "abc")
        running = subprocess.Popen(words, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait("the call", lambda: self.begun() == 1 or running.poll() is not None)
        if running.poll() is not None:
            sys.exit(f"the run ended: {running.stderr.read()}")
        since = time.monotonic()
        what()
        wait("the call again", lambda: self.begun() == 2 or running.poll() is not None)
        took = time.monotonic() - since
        said(f"{name}: {took:.2f} s")
        (self.folder / "go").touch()
        out, err = running.communicate()
        if running.returncode != 0 or out.strip() != "held ABC!" or self.begun() != 2:
            sys.exit(f"the run did not go on: {running.returncode}, {self.begun()} times begun\n{out}\n{err}")
        return took

    def worked(self):
        """The machine on which the call is under way."""
        pids = processes("hold.sh")
        found = [machine for machine in self.cluster.machines if any(machine.here(pid) for pid in pids)]
        if len(found) != 1:
            sys.exit(f"the call is on {[machine.name for machine in found]}")
        return found[0]


def check(holds, what):
    if not holds:
        sys.exit(what)


def recoveries(house, cluster, rows):
    done, took = house.run("tell.mkb", "--text", "abc")
    check(done.returncode == 0 and done.stdout.strip() == "ABC!", done.stderr)
    rows.append(("a run of one step, with the package sent to two machines", took))
    said(f"a run: {took:.1f} s")
    done, took = house.run("tell.mkb", "--text", "abc")
    check(done.returncode == 0, done.stderr)
    rows.append(("the same again", took))
    done, _ = house.run("copy.mkb", "--page", "page.pgm")
    check(done.returncode == 0, done.stderr)
    file = json.loads(done.stdout)["file"]
    check(pathlib.Path(file).read_text() == "P5\n1 1\n255\nA", f"another file came back: {file}")
    for words, name in (
        (["mkbc worker"], "a worker process"),
        (["ray::Worker"], "an actor"),
        (["python", "driver.py"], "the driver"),
    ):
        rows.append((f"again after `kill -9` of {name}", house.killed(name, lambda: kill(processes(*words)))))
    gone = []

    def raylet():
        gone.append(house.worked())
        kill(gone[-1].raylet())

    rows.append(("again, on the spare node, after `kill -9` of a raylet", house.killed("a raylet", raylet)))
    cluster.again(gone[-1])

    def node():
        gone.append(house.worked())
        kill(gone[-1].all())

    rows.append(("again, on the spare node, after `kill -9` of all of a node", house.killed("a node", node)))
    cluster.again(gone[-1])

    def cut():
        gone.append(house.worked())
        ip("link", "set", gone[-1].link, "down")

    rows.append(("again, on the spare node, after a node's network was cut", house.killed("a node's network", cut)))
    ip("link", "set", gone[-1].link, "up")
    cluster.again(gone[-1])
    done, took = house.run("giant.mkb", "--text", "abc")
    check(done.returncode == 1 and "needs 2 `GPU`, and the Ray cluster has 0" in done.stderr, done.stderr)
    rows.append(("a plan that needs what the cluster lacks is refused", took))


def duplicate(cluster):
    job = {"entrypoint": "sleep 60", "submission_id": "taken"}
    check(cluster.asked("api/jobs/", job) is not None, "a job is refused")
    check(cluster.asked("api/jobs/", job) is None, "a submission id is taken twice")


def refused(house):
    for token in (None, "f" * 32):
        done, _ = house.run("tell.mkb", "--text", "abc", token=token)
        check(done.returncode == 1 and "oken" in done.stderr and TOKEN not in done.stderr, f"{token}: {done.stderr}")


def paces(house, nodes, repeat):
    host = HEAD if house.cluster.token else "127.0.0.1"
    words = [house.mkbc, "bench", "ray", "--at", f"ray://{host}:8265", "--nodes", str(nodes), "--repeat", str(repeat), "--json"]
    done = subprocess.run(words, cwd=house.folder, env=house.env, capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    return json.loads(done.stdout)


def inside(options):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{HEAD}/32", "dev", "lo")
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    mkbc, slim = options.mkbc.absolute(), pathlib.Path(tempfile.mkdtemp(dir=".")).absolute() / "mkbc"
    # Ray takes 100 MiB, and a debug build has more.
    subprocess.run(["strip", "-o", slim, mkbc], check=True)
    machines = [Machine(1), Machine(2)]
    houses = []
    try:
        for token in {"both": (TOKEN, None), "token": (TOKEN,), "none": (None,)}[options.auth]:
            since = time.monotonic()
            cluster = Cluster(options.python, machines, token)
            said(f"a cluster of three machines, {'with a token' if token else 'without'}: {time.monotonic() - since:.1f} s")
            house = House(mkbc, slim, cluster)
            houses.append(house)
            rows = []
            if token:
                refused(house)
            if options.only != "pace":
                recoveries(house, cluster, rows)
                duplicate(cluster)
            if rows:
                print(f"\n{'With a token' if token else 'Without a token'}:\n\n| what | s |\n|---|---|")
                print("\n".join(f"| {what} | {took:.2f} |" for what, took in rows), flush=True)
            if (token is None or options.auth == "token") and options.only != "recovery":
                found = paces(house, options.nodes, options.repeat)
                print(f"\n{options.nodes} nodes a run, medians of {options.repeat} runs:\n\n| shape | node | ms a node | least | most |\n|---|---|---|---|---|")
                for row in found:
                    print(f"| {row['shape']} | {row['kind']} | {row['ms']:.3f} | {row['ms_least']:.3f} | {row['ms_most']:.3f} |", flush=True)
            cluster.end()
    finally:
        for house in houses:
            shutil.rmtree(house.folder, ignore_errors=True)
        shutil.rmtree(slim.parent, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mkbc", type=pathlib.Path, default=pathlib.Path("target/release/mkbc"))
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path("~/.cache/mkbc/ray/bin/python").expanduser())
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=["recovery", "pace"])
    parser.add_argument("--auth", choices=["both", "token", "none"], default="both")
    options = parser.parse_args()
    options.python = options.python.expanduser().absolute()
    for path in (options.mkbc.absolute(), options.python, pathlib.Path.cwd()):
        if pathlib.Path("/tmp") in path.parents:
            sys.exit(f"{path}: nothing of /tmp is seen by the machines")
    if os.environ.get(INSIDE):
        return inside(options)
    namespaces = ["unshare", "-r", "-n", "-p", "-f", "-m", "--mount-proc", "--kill-child"]
    sys.exit(subprocess.run([*namespaces, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}).returncode)


if __name__ == "__main__":
    main()
