"""The driver of a run on a Ray cluster: a job that mkbc submits and talks to over one connection. It is a file of mkbc's.

Frames: a length (4 bytes, big-endian), so many bytes of JSON, a length (8 bytes), so many bytes of content. `put` brings a file by its name,
`call` has a call carried out, `drop` gives one up; the answers are `done` and `lost`. Without a connection for a while, it ends.
"""

import asyncio
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

import ray

ALONE = 30.0
"""Seconds without a connection after which the driver ends."""
MOST = 2 << 30
"""Bytes of a file, or of all files of an answer."""


class Died(Exception):
    """The worker process is gone."""


@ray.remote(max_restarts=0)
class Worker:
    """Keeps one `mkbc worker` between calls."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mkbc-worker-")
        self.given = os.path.join(self.folder, "given")
        os.mkdir(self.given)
        self.process = None
        self.number = 0

    def pid(self):
        return self.start().pid

    def start(self):
        if self.process is None or self.process.poll() is not None:
            program = os.path.abspath("mkbc")
            # Unpacked by Ray, it is no program any more.
            os.chmod(program, 0o700)
            self.process = subprocess.Popen(
                [program, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder, preexec_fn=dies_with_us
            )
        return self.process

    def call(self, request, names, *contents):
        for name, content in zip(names, contents):
            path = os.path.join(self.given, name)
            if not os.path.exists(path):
                with open(path + ".part", "wb") as file:
                    file.write(content)
                os.rename(path + ".part", path)
        self.number += 1
        own = os.path.join(self.folder, f"call-{self.number}")
        os.mkdir(own)
        try:
            process = self.start()
            line = json.dumps({**request, "given": self.given, "folder": own})
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = b""
            if not answer.endswith(b"\n"):
                process.kill()
                process.wait()
                raise Died(f"the worker ended with status {process.returncode}")
            result = json.loads(answer)
            files = [(name, read(os.path.join(own, name))) for name in result.pop("files", [])]
            return result, files
        finally:
            shutil.rmtree(own, ignore_errors=True)


def dies_with_us():
    """The worker dies with its actor, whatever kills that. (PR_SET_PDEATHSIG)"""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def read(path):
    with open(path, "rb") as file:
        return file.read(MOST)


class Pool:
    """Workers with the same resources: as many as the cluster has room for, made when they are needed."""

    def __init__(self, needs, most):
        self.needs = needs
        self.room = asyncio.Semaphore(most)
        self.idle = []

    def make(self):
        own = {name: units for name, units in self.needs.items() if name not in ("CPU", "GPU")}
        return Worker.options(
            num_cpus=self.needs.get("CPU", 0), num_gpus=self.needs.get("GPU", 0), resources=own or None
        ).remote()


class Driver:
    def __init__(self):
        self.blobs = {}
        self.pools = {}
        self.calls = {}
        self.connected = 0
        self.changed = asyncio.Event()
        self.resources = {n: u for n, u in ray.cluster_resources().items() if not n.startswith("node:")}

    def pool(self, needs):
        key = json.dumps(needs, sort_keys=True)
        if key not in self.pools:
            fits = [int(self.resources.get(name, 0) // units) for name, units in needs.items() if units > 0]
            self.pools[key] = Pool(needs, max(1, min(fits, default=1)))
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
                    header, body = await frame(reader)
                    if "put" in header:
                        self.blobs[header["put"]] = ray.put(body)
                    elif "call" in header:
                        call = asyncio.ensure_future(self.call(header, writer))
                        self.calls[header["call"]] = call
                        call.add_done_callback(lambda _, id=header["call"]: self.calls.pop(id, None))
                    elif "drop" in header and header["drop"] in self.calls:
                        self.calls[header["drop"]].cancel()
            finally:
                self.connected -= 1
                self.changed.set()
                for call in list(self.calls.values()):
                    call.cancel()
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    async def call(self, header, writer):
        pool = self.pool(header["needs"])
        async with pool.room:
            worker = pool.idle.pop() if pool.idle else pool.make()
            try:
                names = header["blobs"]
                given = [self.blobs[name] for name in names]
                result, files = await worker.call.remote(header["request"], names, *given)
            except asyncio.CancelledError:
                # It may be in the middle of the call, and nobody wants what comes of it.
                ray.kill(worker)
                raise
            except Exception as error:
                if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, Died):
                    pool.idle.append(worker)
                else:
                    ray.kill(worker)
                print(f"call {header['call']} is lost: {error!r}"[:500], flush=True)
                send(writer, {"lost": header["call"]}, b"")
                return
            pool.idle.append(worker)
        sizes = [[name, len(content)] for name, content in files]
        send(writer, {"done": header["call"], "result": result, "files": sizes}, b"".join(c for _, c in files))

    async def until_alone(self):
        while True:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), ALONE)
            except asyncio.TimeoutError:
                if self.connected == 0:
                    return


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
    server = await asyncio.start_server(driver.serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    print("mkbc-driver " + json.dumps({"port": port, "resources": driver.resources}), flush=True)
    await driver.until_alone()


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit(0)
