"""The driver of a run on a Ray cluster: a job that mkbc submits and talks to over one connection. It is a file of mkbc's.

Frames: a length (4 bytes, big-endian), so many bytes of JSON, a length (8 bytes), so many bytes of content. `put` brings a file by its name
and `step` what calls are of, `call` has a call carried out, `drop` gives one up; the answers are `done` and `lost`. Without a connection for
a while, it ends.
"""

import asyncio
import hmac
import json
import os
import struct
import sys
import time

import ray
from ray._private.state import available_resources_per_node

from mkbc_hand import MOST, Call, Line
from mkbc_pool import SURVEY_S, Pool
from mkbc_room import Node, Room, idle

ALONE = 30.0
"""Seconds without a connection after which the driver ends."""
DEAF = 3
"""A node that refuses so many connections in a row is gone. Ray's own answer takes longer."""


class Home:
    """A connection of mkbc's."""

    def __init__(self, writer):
        self.writer = writer
        self.parts = []

    def send(self, header, body):
        if not self.parts:
            # What comes together goes together.
            asyncio.get_running_loop().call_soon(self.flush)
        text = json.dumps(header).encode()
        self.parts += [struct.pack(">I", len(text)), text, struct.pack(">Q", len(body)), body]

    def flush(self):
        parts, self.parts = self.parts, []
        self.writer.write(b"".join(parts))


class Driver:
    def __init__(self):
        self.at = None
        self.expected = {}
        self.blobs = {}
        self.steps = {}
        self.pools = {}
        self.pool_of = {}
        self.calls = {}
        self.paces = {}
        self.connected = 0
        self.changed = asyncio.Event()
        self.room = Room(nodes())
        self.deaf = {}

    def pool(self, needs):
        key = json.dumps(needs, sort_keys=True)
        if key not in self.pools:
            self.pools[key] = Pool(self, needs)
            self.room.pools.append(self.pools[key])
        return self.pools[key]

    async def serve(self, reader, writer):
        secret = os.environ["MKBC_SECRET"]
        try:
            header, _ = await asyncio.wait_for(frame(reader), 5.0)
            if not hmac.compare_digest(str(header.get("secret", "")).encode(), secret.encode()):
                return
            self.connected += 1
            home = Home(writer)
            try:
                while True:
                    self.heard(*await frame(reader), home)
            finally:
                self.connected -= 1
                self.changed.set()
                for id in [id for id, call in self.calls.items() if call.home is home]:
                    self.drop(id)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    def heard(self, header, body, home):
        if "call" in header:
            call = Call(header["call"], header["step"], body, header["blobs"], home)
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
        elif call in call.hand.under_way:
            pool.lose(call.hand)
            pool.pump()

    def done(self, call, answer, files):
        """What comes of a call, if somebody still waits for it."""
        if self.calls.pop(call.id, None) is not None:
            sizes = [[name, len(content)] for name, content in files]
            body = b"".join([answer, *(content for _, content in files)])
            call.home.send({"done": call.id, "answer": len(answer), "files": sizes}, body)

    def lost(self, calls):
        """Whoever worked on calls is gone."""
        for call in calls:
            if self.calls.pop(call.id, None) is not None:
                call.home.send({"lost": call.id}, b"")

    def turn(self):
        """Workers take no further call where they are to give way to a pool that has none, and go once all of these have nothing to do."""
        found = self.room.turn(time.monotonic())
        pool, node, chosen = found or (None, None, [])
        for other in self.pools.values():
            other.leaving(chosen)
        if chosen and all(idle(hand) for hand in chosen):
            pool.start_at(node, chosen)

    async def suspect(self, id):
        """A worker on a node is lost: perhaps the node is."""
        node = self.room.nodes.get(id)
        if node is not None and not await hears(node.host, node.port):
            self.room.gone.add(id)

    async def survey(self):
        """What the cluster has changes: nodes die and come."""
        while True:
            await asyncio.sleep(SURVEY_S)
            self.room.seen(await asyncio.get_running_loop().run_in_executor(None, nodes))
            used = {hand.node for pool in self.pools.values() for hand in pool.hands}
            for id in (used | self.room.gone) & set(self.room.nodes):
                node = self.room.nodes[id]
                self.deaf[id] = 0 if await hears(node.host, node.port) else self.deaf.get(id, 0) + 1
                if self.deaf[id] == 0:
                    self.room.gone.discard(id)
                elif self.deaf[id] >= DEAF:
                    self.room.gone.add(id)
            for pool in self.pools.values():
                pool.left(used - set(self.room.there()))
            self.turn()

    async def until_alone(self):
        while True:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), ALONE)
            except asyncio.TimeoutError:
                if self.connected == 0:
                    return


def nodes():
    """The nodes that Ray says are there, by their names."""
    free = available_resources_per_node()
    alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    return {
        id: Node(node["NodeManagerAddress"], node["NodeManagerPort"], node["Resources"], free.get(id, node["Resources"]))
        for id, node in alive.items()
    }


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


async def main():
    ray.init(log_to_driver=False)
    driver = Driver()
    loopback = os.environ["MKBC_HOST"] in ("localhost", "127.0.0.1", "[::1]")
    # On the loopback interface where that is how we are asked.
    host = "127.0.0.1" if loopback else ray.util.get_node_ip_address()
    server = await asyncio.start_server(driver.serve, host, 0, limit=1 << 20)
    # Workers may be on other machines wherever we are asked.
    workers = await asyncio.get_running_loop().create_server(lambda: Line(driver), ray.util.get_node_ip_address(), 0)
    driver.at = workers.sockets[0].getsockname()[:2]
    port = server.sockets[0].getsockname()[1]
    has = {name: units for name, units in ray.cluster_resources().items() if not name.startswith("node:")}
    print("mkbc-driver " + json.dumps({"port": port, "resources": has}), flush=True)
    survey = asyncio.ensure_future(driver.survey())
    await driver.until_alone()
    survey.cancel()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
