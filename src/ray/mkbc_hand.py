"""A worker of a run on a Ray cluster: its actor, its process, the connection to it, and what it was told. It is a file of mkbc's, beside the
driver.

Calls and answers are lines between the driver and each actor's `mkbc worker`, over a connection of their own: a task of Ray's takes longer
than most calls.
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

MOST = 2 << 30
"""Bytes of a file, of all files of an answer, or of an answer."""
AHEAD = 64
AHEAD_S = 0.02
"""Calls that a worker has at a time, at most: so many, and such that they are expected to take so many seconds. It carries out one after the
other, so that long calls go alone."""
GREET_S = 10.0
"""Seconds until somebody who connects has said who it is."""
GIVEN = "given"
"""The folder of a worker's for files of arguments."""
GUARD = 'exec 3<&0; { read -r _; rm -rf -- "$1"; sleep 2; rm -rf -- "$1"; } <&3 >/dev/null 2>&1 &'
"""Removes a folder once the other end of a pipe is gone, however that ended, and again when what worked there has ended too. It is nobody's
child, since Ray kills the children of an actor along with it."""


@ray.remote(max_restarts=0)
class Worker:
    """Keeps one `mkbc worker`, which talks to the driver, and brings files."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mkbc-worker-")
        os.mkdir(os.path.join(self.folder, GIVEN))
        end, self.here = os.pipe()
        subprocess.run(["sh", "-c", GUARD, "sh", self.folder], stdin=end, start_new_session=True, check=True)
        os.close(end)
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
        # When it was first ready, and since when it does what it does, or nothing.
        self.born = self.since = 0.0
        self.to_send = []
        # Whether files are on their way, behind which calls wait.
        self.giving = False
        # Whether it goes as soon as it has nothing to do.
        self.leaves = False

    def room(self, pace):
        """Whether it takes a call more that is expected to take so long."""
        if self.line is None or self.giving or self.leaves:
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
