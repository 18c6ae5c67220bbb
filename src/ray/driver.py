"""The driver of a run on a Ray cluster: a job that mkbc submits and talks to over one connection. It is a file of mkbc's.

Frames: a length (4 bytes, big-endian), so many bytes of JSON, a length (8 bytes), so many bytes of content. `put` brings a file by its name
and `step` what calls are of, `call` has a call carried out, `drop` gives one up; the answers are `done` and `lost`. Without a connection for
a while, it ends.
"""

import asyncio
import collections
import ctypes
import hmac
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import ray

ALONE = 30.0
"""Seconds without a connection after which the driver ends."""
MOST = 2 << 30
"""Bytes of a file, or of all files of an answer."""
BATCH = 64
BATCH_S = 0.02
"""Calls that go to a worker together, at most: so many, and such that they are expected to take so many seconds. An answer waits for those
of its batch, so that long calls go alone."""
AHEAD = 32 << 10
"""Bytes of calls that a worker process was sent and has not answered: they fit into its pipe, and nobody waits for nobody."""
SURVEY_S = 1.0
"""Seconds from one look at the cluster to the next."""
DEAF = 3
"""A node that refuses so many connections in a row is gone. Ray's own answer takes longer."""


@ray.remote(max_restarts=0)
class Worker:
    """Keeps one `mkbc worker` between calls."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mkbc-worker-")
        self.given = os.path.join(self.folder, "given")
        os.mkdir(self.given)
        self.process = None
        self.number = 0
        self.steps = {}
        self.told = set()

    def node(self):
        """Where it is; it is ready once it says so."""
        return ray.get_runtime_context().get_node_id()

    def start(self):
        if self.process is None or self.process.poll() is not None:
            program = os.path.abspath("mkbc")
            # Unpacked by Ray, it is no program any more.
            os.chmod(program, 0o700)
            self.process = subprocess.Popen(
                [program, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder, preexec_fn=dies_with_us
            )
            self.told = set()
        return self.process

    def calls(self, steps, batch, names, *contents):
        """Carries out calls `(step, arguments)` one after the other: `(answer, files)` of each, None from where its process died, and seconds."""
        self.steps.update(steps)
        for name, content in zip(names, contents):
            path = os.path.join(self.given, name)
            if not os.path.exists(path):
                with open(path + ".part", "wb") as file:
                    file.write(content)
                os.rename(path + ".part", path)
        process = self.start()
        results, sent, ahead, begun = [], collections.deque(), 0, time.monotonic()
        try:
            for step, args in batch:
                self.number += 1
                own = os.path.join(self.folder, f"call-{self.number}")
                line = self.line(step, args, own)
                while sent and ahead + len(line) > AHEAD:
                    first, length = sent.popleft()
                    results.append(self.answer(first))
                    ahead -= length
                process.stdin.write(line)
                sent.append((own, len(line)))
                ahead += len(line)
            for own, _ in sent:
                results.append(self.answer(own))
        except (OSError, ValueError) as error:
            print(f"the worker is gone: {error!r}", flush=True)
            process.kill()
            process.wait()
        return results + [None] * (len(batch) - len(results)), time.monotonic() - begun

    def line(self, step, args, own):
        """A call as the process reads it, with its step before the first one that is of it."""
        told = b""
        if step not in self.told:
            self.told.add(step)
            told = b'{"define":' + json.dumps(step).encode() + b',"as":' + self.steps[step] + b"}\n"
        about = json.dumps({"step": step, "given": self.given, "folder": own})
        return told + about[:-1].encode() + b',"args":' + args + b"}\n"

    def answer(self, own):
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise ValueError("it ended in the middle of a call")
        # Most calls make no files.
        made = json.loads(answer).get("files", []) if b'"files":["' in answer else []
        files = [(name, read(os.path.join(own, name))) for name in made]
        shutil.rmtree(own, ignore_errors=True)
        return answer[:-1], files


def dies_with_us():
    """The worker dies with its actor, whatever kills that. (PR_SET_PDEATHSIG)"""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def read(path):
    with open(path, "rb") as file:
        return file.read(MOST)


class Hand:
    """An actor that is ready, what it was told and what it works on."""

    def __init__(self, actor, node):
        self.actor = actor
        self.node = node
        self.steps = set()
        self.work = None


class Call:
    """A call that somebody waits for."""

    def __init__(self, id, step, args, blobs, writer):
        self.id, self.step, self.args, self.blobs, self.writer = id, step, args, blobs, writer
        self.hand = None


class Pool:
    """Workers with the same resources, as many as the cluster has room for, made when they are needed; calls wait for one that is ready."""

    def __init__(self, driver, needs):
        self.driver = driver
        self.needs = needs
        self.waiting = collections.deque()
        self.idle = []
        self.hands = set()
        self.starting = 0

    def most(self):
        has = self.driver.resources
        return max(1, min((int(has.get(name, 0) // units) for name, units in self.needs.items() if units > 0), default=1))

    def pump(self):
        """Gives waiting calls to workers that are idle, and starts workers where calls are left and there is room."""
        while self.waiting and self.idle:
            hand = self.idle.pop()
            batch = self.batch(1 + len(self.idle))
            hand.work = asyncio.ensure_future(self.carry_out(hand, batch))
        wanted = min(len(self.waiting), self.most() - len(self.hands)) - self.starting
        for _ in range(wanted):
            self.starting += 1
            asyncio.ensure_future(self.start())

    def batch(self, hands):
        """The calls that go next to one of so many workers."""
        share = -(-len(self.waiting) // hands)
        calls, expected = [], 0.0
        while self.waiting and len(calls) < min(share, BATCH):
            pace = self.driver.paces.get(self.waiting[0].step, BATCH_S)
            if calls and expected + pace > BATCH_S:
                break
            calls.append(self.waiting.popleft())
            expected += pace
        return calls

    async def start(self):
        own = {name: units for name, units in self.needs.items() if name not in ("CPU", "GPU")}
        actor = Worker.options(
            num_cpus=self.needs.get("CPU", 0), num_gpus=self.needs.get("GPU", 0), resources=own or None
        ).remote()
        try:
            hand = Hand(actor, await actor.node.remote())
        except ray.exceptions.RayError as error:
            print(f"a worker could not be started: {error!r}"[:500], flush=True)
            await asyncio.sleep(SURVEY_S)
        else:
            self.hands.add(hand)
            self.idle.append(hand)
        finally:
            self.starting -= 1
        self.pump()

    async def carry_out(self, hand, batch):
        steps = {call.step: self.driver.steps[call.step] for call in batch if call.step not in hand.steps}
        names = sorted({name for call in batch for name in call.blobs})
        given = [self.driver.blobs[name] for name in names]
        for call in batch:
            call.hand = hand
        try:
            sent = [(call.step, call.args) for call in batch]
            results, seconds = await hand.actor.calls.remote(steps, sent, names, *given)
        except (ray.exceptions.RayError, asyncio.CancelledError) as error:
            self.lose(hand)
            results = [None] * len(batch)
            print(f"calls {[call.id for call in batch]} are lost: {error!r}"[:500], flush=True)
        else:
            hand.steps.update(steps)
            for step in {call.step for call in batch}:
                self.driver.paced(step, seconds / len(batch))
            hand.work = None
            if hand in self.hands:
                self.idle.append(hand)
        for call, result in zip(batch, results):
            if self.driver.calls.pop(call.id, None) is None:
                continue
            if result is None:
                send(call.writer, {"lost": call.id}, b"")
                continue
            answer, files = result
            sizes = [[name, len(content)] for name, content in files]
            body = b"".join([answer, *(content for _, content in files)])
            send(call.writer, {"done": call.id, "answer": len(answer), "files": sizes}, body)
        self.pump()

    def lose(self, hand):
        """A worker that is gone, or is not wanted any more."""
        self.hands.discard(hand)
        if hand in self.idle:
            self.idle.remove(hand)
        ray.kill(hand.actor)

    def left(self, nodes):
        """Workers on nodes that are gone are gone: what they work on is lost at once."""
        for hand in [hand for hand in self.hands if hand.node in nodes]:
            self.lose(hand)
            if hand.work is not None:
                hand.work.cancel()
        self.pump()


class Driver:
    def __init__(self):
        self.blobs = {}
        self.steps = {}
        self.pools = {}
        self.pool_of = {}
        self.calls = {}
        self.paces = {}
        self.connected = 0
        self.changed = asyncio.Event()
        self.resources = resources()
        self.deaf = {}

    def pool(self, needs):
        key = json.dumps(needs, sort_keys=True)
        if key not in self.pools:
            self.pools[key] = Pool(self, needs)
        return self.pools[key]

    async def serve(self, reader, writer):
        secret = os.environ["MKBC_SECRET"]
        try:
            header, _ = await asyncio.wait_for(frame(reader), 5.0)
            if not hmac.compare_digest(str(header.get("secret", "")).encode(), secret.encode()):
                return
            self.connected += 1
            try:
                while True:
                    self.heard(*await frame(reader), writer)
            finally:
                self.connected -= 1
                self.changed.set()
                for id in [id for id, call in self.calls.items() if call.writer is writer]:
                    self.drop(id)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    def heard(self, header, body, writer):
        if "call" in header:
            call = Call(header["call"], header["step"], body, header["blobs"], writer)
            pool = self.pool_of[call.step]
            self.calls[call.id] = call
            pool.waiting.append(call)
            if len(pool.waiting) == 1:
                # What comes together is looked at together.
                asyncio.get_running_loop().call_soon(pool.pump)
        elif "step" in header:
            self.steps[header["step"]] = body
            self.pool_of[header["step"]] = self.pool(header["needs"])
        elif "put" in header:
            self.blobs[header["put"]] = ray.put(body)
        elif "drop" in header:
            self.drop(header["drop"])

    def paced(self, step, seconds):
        """A call of a step took so long."""
        before = self.paces.get(step, seconds)
        self.paces[step] = (before + seconds) / 2

    def drop(self, id):
        """Nobody wants what comes of a call. Its worker may be in the middle of it, and goes along."""
        call = self.calls.pop(id, None)
        if call is None:
            return
        pool = self.pool_of[call.step]
        if call.hand is None:
            pool.waiting.remove(call)
        elif call.hand.work is not None:
            pool.lose(call.hand)
            call.hand.work.cancel()

    async def survey(self):
        """What the cluster has changes: nodes die and come."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SURVEY_S)
            nodes, has = await loop.run_in_executor(None, lambda: (ray.nodes(), resources()))
            alive = {node["NodeID"]: (node["NodeManagerAddress"], node["NodeManagerPort"]) for node in nodes if node["Alive"]}
            used = {hand.node for pool in self.pools.values() for hand in pool.hands}
            gone = used - set(alive)
            for node in used & set(alive):
                self.deaf[node] = 0 if await hears(*alive[node]) else self.deaf.get(node, 0) + 1
                if self.deaf[node] >= DEAF:
                    gone.add(node)
            if gone:
                print(f"nodes are gone: {sorted(gone)}", flush=True)
            self.resources = has
            for pool in self.pools.values():
                pool.left(gone)

    async def until_alone(self):
        while True:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), ALONE)
            except asyncio.TimeoutError:
                if self.connected == 0:
                    return


def resources():
    return {name: units for name, units in ray.cluster_resources().items() if not name.startswith("node:")}


async def hears(host, port):
    """Whether somebody listens there; who does not answer in time may only be busy."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1.0)
    except asyncio.TimeoutError:
        return True
    except OSError:
        return False
    writer.close()
    return True


async def frame(reader):
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    header = json.loads(await reader.readexactly(size))
    (size,) = struct.unpack(">Q", await reader.readexactly(8))
    if size > MOST:
        raise ValueError("a frame is too large")
    return header, await reader.readexactly(size)


def send(writer, header, body):
    text = json.dumps(header).encode()
    writer.write(struct.pack(">I", len(text)) + text + struct.pack(">Q", len(body)) + body)


async def main():
    ray.init(log_to_driver=False)
    driver = Driver()
    loopback = os.environ["MKBC_HOST"] in ("localhost", "127.0.0.1", "[::1]")
    # On the loopback interface where that is how we are asked.
    host = "127.0.0.1" if loopback else ray.util.get_node_ip_address()
    server = await asyncio.start_server(driver.serve, host, 0, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    print("mkbc-driver " + json.dumps({"port": port, "resources": driver.resources}), flush=True)
    survey = asyncio.ensure_future(driver.survey())
    await driver.until_alone()
    survey.cancel()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
