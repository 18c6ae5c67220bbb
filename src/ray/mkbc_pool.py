"""Workers of a run on a Ray cluster with the same resources, and calls that wait for them. It is a file of mkbc's, beside the driver.

Ray places actors where it is told, brings files and says what dies.
"""

import asyncio
import collections
import json
import time

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mkbc_hand import AHEAD_S, GREET_S, Hand, Worker
from mkbc_room import IDLE_S, NOWHERE, idle, times

SURVEY_S = 1.0
"""Seconds from one look at the cluster to the next."""
START_S = 60.0
"""Seconds that a worker may take to start, before it is tried elsewhere: where a node has just died, Ray may wait for it."""
TRIES = 3
"""How often a worker is started on a node where Ray cannot set up what it needs, before the node is avoided."""


class Pool:
    """Workers with the same resources, as many as the cluster has room for, made when they are needed; calls wait for one that is ready."""

    def __init__(self, driver, needs):
        self.driver, self.room = driver, driver.room
        self.needs = needs
        self.waiting = collections.deque()
        self.hands = {}
        self.idle = []
        # Where workers are on their way to.
        self.starting = []
        # Since when it has calls, no worker, and no room for one.
        self.without = None
        # Whether it is looked again for room.
        self.looks = False

    def most(self):
        return max(1, sum(times(node.has, self.needs) for node in self.room.there().values()))

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
        if not self.waiting:
            self.without = None
        elif not self.looks:
            self.grow()

    def grow(self):
        """Starts workers for calls that wait, where there is room or somebody gives way."""
        now = time.monotonic()
        for _ in range(min(len(self.waiting), self.most() - len(self.hands)) - len(self.starting)):
            node, gives = self.room.place(self, now), []
            if node is NOWHERE:
                node, gives = self.room.give_way(self, now) or (NOWHERE, [])
            if node is NOWHERE:
                self.nowhere(now)
                return
            self.start_at(node, gives)

    def start_at(self, node, gives):
        """Starts a worker on a node, for which others give way."""
        for hand in gives:
            hand.pool.lose(hand)
        self.without = None
        self.starting.append(node)
        asyncio.ensure_future(self.start(node))

    def nowhere(self, now):
        """There is no room: it is looked again soon, and where no node can be set up, calls fail."""
        why = self.room.hopeless(self, now)
        if why is not None:
            fault = {"kind": "process", "message": "Ray can set up no node that has what the step needs for it", "detail": why}
            while self.waiting:
                self.driver.done(self.waiting.popleft(), json.dumps({"fault": fault}).encode(), [])
            return
        if self.without is None and not self.hands:
            self.without = now
        self.looks = True
        asyncio.get_running_loop().call_later(IDLE_S, self.look)

    def look(self):
        self.looks = False
        self.pump()

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
        try:
            hand, began, error = await self.begin(node)
            if error is None:
                hand.born = hand.since = time.monotonic()
                self.room.worked(hand.node, hand.born - began)
                self.hands[hand] = None
                self.idle.append(hand)
            else:
                # Of what Ray says, the last line says why.
                why = (str(error).strip().splitlines() or [""])[-1][:500]
                print(f"a worker could not be started on node {node}: {type(error).__name__}: {why}", flush=True)
                unusable = isinstance(error, ray.exceptions.RuntimeEnvSetupError)
                self.room.failed(node, time.monotonic(), why if unusable else None)
                if not unusable:
                    await asyncio.sleep(SURVEY_S)
        finally:
            self.starting.remove(node)
        self.pump()

    async def begin(self, node):
        """A worker on a node, since when it was started, and why it could not be. Where Ray cannot set up what it needs, it is started anew a few
        times: packages of jobs that have ended go while those of new ones come."""
        own = {name: units for name, units in self.needs.items() if name not in ("CPU", "GPU")}
        where = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": self.needs.get("CPU", 0), "num_gpus": self.needs.get("GPU", 0), "resources": own or None}
        for once in range(TRIES):
            # Ray remembers that it could not set up an environment, and does not look at one of that name again.
            again = {"runtime_env": {"env_vars": {"MKBC_TRY": str(once)}}} if once else {}
            actor = Worker.options(scheduling_strategy=where, **options, **again).remote()
            hand, began = Hand(self, actor), time.monotonic()
            try:
                await self.ready(hand)
                return hand, began, None
            except (ray.exceptions.RayError, asyncio.TimeoutError, ConnectionError) as error:
                ray.kill(actor)
                if not isinstance(error, ray.exceptions.RuntimeEnvSetupError) or once + 1 == TRIES:
                    return hand, began, error
            await asyncio.sleep(SURVEY_S)

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
            if hand.leaves:
                self.driver.turn()
            else:
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
        if hand.node in self.room.gone:
            self.lose(hand)
        elif hand in self.hands:
            try:
                await self.ready(hand)
            except (ray.exceptions.RayError, asyncio.TimeoutError, ConnectionError) as error:
                await self.given_up(hand, error)
                return
            hand.giving, hand.since = False, time.monotonic()
            if not hand.leaves:
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

    def leaving(self, chosen):
        """Some workers take no further call; others that took none do so again."""
        for hand in self.hands:
            left, hand.leaves = hand.leaves, hand in chosen
            if hand.leaves and hand in self.idle:
                self.idle.remove(hand)
            elif left and not hand.leaves and idle(hand):
                self.idle.append(hand)
        self.pump()

    def left(self, nodes):
        """Workers on nodes that are gone are gone: what they work on is lost at once."""
        for hand in [hand for hand in self.hands if hand.node in nodes]:
            self.lose(hand)
        self.pump()


def answer(ref):
    """An answer of an actor. Who gives it up does not take it from Ray, which still delivers it."""
    return asyncio.shield(asyncio.wrap_future(ref.future()))
