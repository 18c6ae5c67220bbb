"""Workers of a run on a Ray cluster, and calls that wait for them. It is a file of mkbc's, beside the driver.

Ray places actors, brings files and says what dies. Calls and answers are lines between the driver and each actor's `mkbc worker`, over a
connection of their own: a task of Ray's takes longer than most calls.
"""

import asyncio
import collections
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

MOST = 2 << 30
"""Bytes of a file, of all files of an answer, or of an answer."""
AHEAD = 64
AHEAD_S = 0.02
"""Calls that a worker has at a time, at most: so many, and such that they are expected to take so many seconds. It carries out one after the
other, so that long calls go alone."""
SURVEY_S = 1.0
"""Seconds from one look at the cluster to the next."""
START_S = 60.0
"""Seconds that a worker may take to start, before it is tried elsewhere: where a node has just died, Ray may wait for it."""
GREET_S = 10.0
"""Seconds until somebody who connects has said who it is."""
GIVEN = "given"
"""The folder of a worker's for files of arguments."""

Node = collections.namedtuple("Node", ["host", "port", "has"])
"""A node that Ray says is there: where its raylet listens, and its resources."""


@ray.remote(max_restarts=0)
class Worker:
    """Keeps one `mkbc worker`, which talks to the driver, and brings files."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mkbc-worker-")
        os.mkdir(os.path.join(self.folder, GIVEN))
        self.process = None

    def start(self, at, key):
        """Starts the process, or another one, which tells the driver whose it is: the node and the folder in which it works."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        program = os.path.abspath("mkbc")
        # Unpacked by Ray, it is no program any more.
        os.chmod(program, 0o700)
        with socket.create_connection(at, GREET_S) as line:
            line.settimeout(None)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.sendall(key.encode() + b"\n")
            words = [program, "worker", "--dies-with", str(os.getpid())]
            self.process = subprocess.Popen(words, stdin=line, stdout=line, cwd=self.folder)
        return ray.get_runtime_context().get_node_id(), self.folder

    def give(self, names, *contents):
        """Files that calls may name from now on."""
        for name, content in zip(names, contents):
            path = os.path.join(self.folder, GIVEN, name)
            with open(path + ".part", "wb") as file:
                file.write(content)
            os.rename(path + ".part", path)

    def made(self, own, names):
        """Files that a call made in its folder, which goes."""
        files = [(name, read(os.path.join(own, name))) for name in names]
        shutil.rmtree(own, ignore_errors=True)
        return files


def read(path):
    with open(path, "rb") as file:
        return file.read(MOST)


class Call:
    """A call that somebody waits for."""

    def __init__(self, id, step, args, blobs, home):
        self.id, self.step, self.args, self.blobs, self.home = id, step, args, blobs, home
        self.hand = None
        self.own = ""
        self.pace = 0.0


class Hand:
    """An actor and its process: what they were told and given, and what they work on, in order."""

    def __init__(self, pool, actor):
        self.pool = pool
        self.actor = actor
        self.key = secrets.token_hex(16)
        self.node = None
        self.folder = ""
        self.line = None
        self.greeted = asyncio.Event()
        self.told = set()
        self.given = set()
        self.number = 0
        self.under_way = collections.deque()
        self.expected = 0.0
        self.since = 0.0
        self.to_send = []
        # Whether files are on their way, behind which calls wait.
        self.giving = False

    def room(self, pace):
        """Whether it takes a call more that is expected to take so long."""
        if self.line is None or self.giving:
            return False
        return not self.under_way or len(self.under_way) < AHEAD and self.expected + pace <= AHEAD_S

    def take(self, call, pace):
        self.number += 1
        call.hand, call.pace, call.own = self, pace, os.path.join(self.folder, f"call-{self.number}")
        if not self.under_way:
            self.since = time.monotonic()
        self.under_way.append(call)
        self.expected += pace

    def tell(self, call, text):
        """Writes a call as the process reads it, with its step before the first one that is of it."""
        if call.step not in self.told:
            self.told.add(call.step)
            self.to_send += [b'{"define":', json.dumps(call.step).encode(), b',"as":', text, b"}\n"]
        about = json.dumps({"step": call.step, "given": os.path.join(self.folder, GIVEN), "folder": call.own})
        self.to_send += [about[:-1].encode(), b',"args":', call.args, b"}\n"]

    def send(self):
        if self.to_send and self.line is not None:
            self.line.write(b"".join(self.to_send))
        self.to_send = []

    def emptied(self):
        """What it works on is nobody's any more."""
        calls, self.under_way, self.expected, self.to_send = list(self.under_way), collections.deque(), 0.0, []
        return calls


class Line(asyncio.Protocol):
    """A connection of a worker process, which says whose it is first."""

    def __init__(self, driver):
        self.driver = driver
        self.hand = None
        self.parts, self.size = [], 0

    def connection_made(self, transport):
        self.transport = transport
        asyncio.get_running_loop().call_later(GREET_S, self.unless_greeted)

    def unless_greeted(self):
        if self.hand is None:
            self.transport.abort()

    def data_received(self, data):
        ended, newline, rest = data.rpartition(b"\n")
        if not newline:
            self.parts.append(data)
            self.size += len(data)
            if self.size > (MOST if self.hand else 64):
                self.transport.abort()
            return
        lines = b"".join([*self.parts, ended]).split(b"\n")
        self.parts, self.size = [rest], len(rest)
        if self.hand is None:
            # A key is random and counts once: what the time of a look tells of it helps nobody.
            self.hand = self.driver.expected.pop(lines.pop(0).decode(errors="replace"), None)
            if self.hand is None:
                self.transport.abort()
                return
            self.hand.line = self.transport
            self.hand.greeted.set()
        if lines:
            self.hand.pool.answered(self.hand, lines)

    def connection_lost(self, error):
        if self.hand is not None and self.hand.line is self.transport:
            self.hand.line = None
            self.hand.pool.silent(self.hand)


class Pool:
    """Workers with the same resources, as many as the cluster has room for, made when they are needed; calls wait for one that is ready."""

    def __init__(self, driver, needs):
        self.driver = driver
        self.needs = needs
        self.waiting = collections.deque()
        self.hands = {}
        self.idle = []
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
        """Gives waiting calls to workers with room, and starts workers where calls are left and there is room."""
        told = set()
        while self.waiting:
            pace = self.driver.paces.get(self.waiting[0].step, AHEAD_S)
            hand = self.next(pace)
            if hand is None:
                break
            call = self.waiting.popleft()
            hand.take(call, pace)
            if hand.given.issuperset(call.blobs):
                hand.tell(call, self.driver.steps[call.step])
                told.add(hand)
            else:
                hand.giving = True
                asyncio.ensure_future(self.give(hand, call))
        for hand in told:
            hand.send()
        if self.waiting:
            for _ in range(min(len(self.waiting), self.most() - len(self.hands)) - len(self.starting)):
                node = self.place()
                self.starting.append(node)
                asyncio.ensure_future(self.start(node))

    def next(self, pace):
        """The worker of the next call: one that has nothing to do, else the one that is expected to be done first."""
        while self.idle:
            hand = self.idle.pop()
            if hand.line is not None and not hand.under_way:
                return hand
        if 2 * pace > AHEAD_S:
            return None
        return min((hand for hand in self.hands if hand.room(pace)), key=lambda hand: hand.expected, default=None)

    async def give(self, hand, call):
        """Brings the files of a call, and then the call."""
        names = sorted(set(call.blobs) - hand.given)
        try:
            await answer(hand.actor.give.remote(names, *(self.driver.blobs[name] for name in names)))
        except (ray.exceptions.RayError, KeyError) as error:
            await self.given_up(hand, error)
            return
        hand.given.update(names)
        hand.giving = False
        # It may have been lost meanwhile, and the call with it.
        if call in hand.under_way:
            hand.tell(call, self.driver.steps[call.step])
            hand.send()
        self.pump()

    async def start(self, node):
        own = {name: units for name, units in self.needs.items() if name not in ("CPU", "GPU")}
        where = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=False)
        actor = Worker.options(
            num_cpus=self.needs.get("CPU", 0), num_gpus=self.needs.get("GPU", 0), resources=own or None, scheduling_strategy=where
        ).remote()
        hand = Hand(self, actor)
        try:
            await self.ready(hand)
        except (ray.exceptions.RayError, asyncio.TimeoutError, ConnectionError) as error:
            print(f"a worker could not be started: {error!r}"[:500], flush=True)
            ray.kill(actor)
            await asyncio.sleep(SURVEY_S)
        else:
            self.hands[hand] = None
            self.idle.append(hand)
        finally:
            self.starting.remove(node)
        self.pump()

    async def ready(self, hand):
        """Has a worker start its process, and waits until that is connected."""
        hand.told, hand.greeted = set(), asyncio.Event()
        self.driver.expected[hand.key] = hand
        try:
            started = answer(hand.actor.start.remote(self.driver.at, hand.key))
            hand.node, hand.folder = await asyncio.wait_for(started, START_S)
            await asyncio.wait_for(hand.greeted.wait(), GREET_S)
        finally:
            self.driver.expected.pop(hand.key, None)
        if hand.line is None:
            raise ConnectionError("its process ended at once")

    def answered(self, hand, lines):
        """What comes of calls, in the order in which they were told."""
        now = time.monotonic()
        took, hand.since = (now - hand.since) / len(lines), now
        for line in lines:
            if not hand.under_way:
                print("a worker answers what nobody asked", flush=True)
                self.lose(hand)
                break
            call = hand.under_way.popleft()
            hand.expected -= call.pace
            self.driver.paced(call.step, took)
            # Most calls make no files.
            made = json.loads(line).get("files", []) if b'"files":["' in line else []
            if made:
                asyncio.ensure_future(self.fetch(hand, call, line, made))
            else:
                self.driver.done(call, line, [])
        if hand in self.hands and not hand.under_way:
            hand.expected = 0.0
            self.idle.append(hand)
        self.pump()

    async def fetch(self, hand, call, line, made):
        try:
            files = await answer(hand.actor.made.remote(call.own, made))
        except ray.exceptions.RayError as error:
            self.driver.lost([call])
            await self.given_up(hand, error)
        else:
            self.driver.done(call, line, files)

    def silent(self, hand):
        """The process of a worker is gone, and what it worked on with it."""
        calls = hand.emptied()
        self.driver.lost(calls)
        if hand not in self.hands:
            return
        if calls:
            asyncio.ensure_future(self.again(hand))
        else:
            # A call cannot be to blame: the machine may be.
            self.lose(hand)

    async def again(self, hand):
        """Starts the process of a worker once more, if its actor is still there."""
        await self.driver.suspect(hand.node)
        if hand.node in self.driver.gone:
            self.lose(hand)
        elif hand in self.hands:
            try:
                await self.ready(hand)
            except (ray.exceptions.RayError, asyncio.TimeoutError, ConnectionError) as error:
                await self.given_up(hand, error)
                return
            hand.giving = False
            self.idle.append(hand)
        self.pump()

    async def given_up(self, hand, error):
        print(f"a worker is lost: {error!r}"[:500], flush=True)
        self.lose(hand)
        if hand.node is not None:
            await self.driver.suspect(hand.node)
        self.pump()

    def lose(self, hand):
        """A worker that is gone, or is not wanted any more."""
        self.hands.pop(hand, None)
        if hand in self.idle:
            self.idle.remove(hand)
        self.driver.lost(hand.emptied())
        if hand.line is not None:
            hand.line.abort()
        ray.kill(hand.actor)

    def left(self, nodes):
        """Workers on nodes that are gone are gone: what they work on is lost at once."""
        for hand in [hand for hand in self.hands if hand.node in nodes]:
            self.lose(hand)
        self.pump()


def answer(ref):
    """An answer of an actor. Who gives it up does not take it from Ray, which still delivers it."""
    return asyncio.shield(asyncio.wrap_future(ref.future()))
