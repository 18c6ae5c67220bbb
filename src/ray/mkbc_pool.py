"""Workers of a run on a Ray cluster, and calls that wait for them. It is a file of mkbc's, beside the driver."""

import asyncio
import collections
import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

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
START_S = 60.0
"""Seconds that a worker may take to start, before it is tried elsewhere: where a node has just died, Ray may wait for it."""

Node = collections.namedtuple("Node", ["host", "port", "has"])
"""A node that Ray says is there: where its raylet listens, and its resources."""


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
        self.starting = []

    def fit(self, node):
        """How many workers fit on a node."""
        return min((int(node.has.get(name, 0) // units) for name, units in self.needs.items() if units > 0), default=1)

    def most(self):
        return max(1, sum(self.fit(node) for node in self.driver.there().values()))

    def place(self):
        """The node of the next worker, where Ray cannot be asked: it does not know yet that one is gone, and may take that one."""
        there = self.driver.there()
        if len(there) == len(self.driver.nodes):
            return None
        taken = [hand.node for hand in self.hands] + self.starting
        return next((id for id, node in sorted(there.items()) if self.fit(node) > taken.count(id)), None)

    def pump(self):
        """Gives waiting calls to workers that are idle, and starts workers where calls are left and there is room."""
        while self.waiting and self.idle:
            hand = self.idle.pop()
            batch = self.batch(1 + len(self.idle))
            for call in batch:
                call.hand = hand
            hand.work = self.sent(hand, batch)
            asyncio.ensure_future(self.carry_out(hand, batch))
        wanted = min(len(self.waiting), self.most() - len(self.hands)) - len(self.starting)
        for _ in range(wanted):
            node = self.place()
            self.starting.append(node)
            asyncio.ensure_future(self.start(node))

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

    async def start(self, node):
        own = {name: units for name, units in self.needs.items() if name not in ("CPU", "GPU")}
        where = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=False)
        actor = Worker.options(
            num_cpus=self.needs.get("CPU", 0), num_gpus=self.needs.get("GPU", 0), resources=own or None, scheduling_strategy=where
        ).remote()
        try:
            hand = Hand(actor, await asyncio.wait_for(answer(actor.node.remote()), START_S))
        except (ray.exceptions.RayError, asyncio.TimeoutError) as error:
            print(f"a worker could not be started: {error!r}"[:500], flush=True)
            ray.kill(actor)
            await asyncio.sleep(SURVEY_S)
        else:
            self.hands.add(hand)
            self.idle.append(hand)
        finally:
            self.starting.remove(node)
        self.pump()

    def sent(self, hand, batch):
        """What comes of a batch, once it does."""
        steps = {call.step: self.driver.steps[call.step] for call in batch if call.step not in hand.steps}
        names = sorted({name for call in batch for name in call.blobs})
        given = [self.driver.blobs[name] for name in names]
        return answer(hand.actor.calls.remote(steps, [(call.step, call.args) for call in batch], names, *given))

    async def carry_out(self, hand, batch):
        try:
            results, seconds = await hand.work
        except (ray.exceptions.RayError, asyncio.CancelledError) as error:
            self.lose(hand)
            await self.driver.suspect(hand.node)
            results = [None] * len(batch)
            print(f"calls {[call.id for call in batch]} are lost: {error!r}"[:500], flush=True)
        else:
            for step in {call.step for call in batch}:
                hand.steps.add(step)
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
            value, files = result
            sizes = [[name, len(content)] for name, content in files]
            body = b"".join([value, *(content for _, content in files)])
            send(call.writer, {"done": call.id, "answer": len(value), "files": sizes}, body)
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


def answer(ref):
    """An answer of an actor. Who gives it up does not take it from Ray, which still delivers it."""
    return asyncio.shield(asyncio.wrap_future(ref.future()))


def send(writer, header, body):
    text = json.dumps(header).encode()
    writer.write(struct.pack(">I", len(text)) + text + struct.pack(">Q", len(body)) + body)
