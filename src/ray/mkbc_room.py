"""Which node a worker goes to, and which workers give way to it. It is a file of mkbc's, beside the driver, and asks Ray nothing.

Workers are kept as long as nobody else needs what they hold. Where a pool has calls and there is no room for a worker of its own, workers of
other pools that have nothing to do give way, as few as will do. Where a pool has no worker at all and all others are busy, some of these
give way between two calls, once they have had their turn: so often at most is a worker made anew.
"""

import collections

IDLE_S = 0.25
"""Seconds for which a worker has had nothing to do before it gives way: the next call may be on its way."""
TURN_S = 5.0
TURN_STARTS = 4
TURN_MOST_S = 30.0
"""Seconds that a pool keeps its workers although another one has none, and its last worker although another one wants one more: so many
times as long as the latest worker took to start, but for these bounds."""
AVOID_S = 5.0
"""Seconds for which no worker is started on a node where one could not be, and twice as many each further time in a row."""
UNUSABLE_S = 60.0
"""The same where Ray could not set up what workers need: it gives the same answer for ten minutes."""
AVOID_MOST_S = 600.0
NOWHERE = object()
"""There is no room for a worker."""

Node = collections.namedtuple("Node", ["host", "port", "has", "free"])
"""A node that Ray says is there: where its raylet listens, its resources, and what nobody holds of them, as Ray saw it last."""
Avoided = collections.namedtuple("Avoided", ["until", "seconds", "why"])
"""A node on which no worker is started until then; `why` is what Ray said of what it could not set up there."""


class Room:
    """The nodes, and what workers of all pools hold of them. Times are seconds of one clock."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.gone = set()
        self.pools = []
        self.avoided = {}
        self.others = {}
        self.looks = {}
        self.turn_s = TURN_S
        # Until when Ray may not choose: it would take a node that it cannot set up, and not say which.
        self.chooses = 0.0

    def there(self):
        """The nodes that are there."""
        return {id: node for id, node in self.nodes.items() if id not in self.gone}

    def seen(self, nodes):
        """What Ray says now. What others hold is what is missing twice in a row: Ray is late with our own."""
        self.nodes = nodes
        left = self.left()
        looks = {id: lacking(left[id], node.free) for id, node in nodes.items()}
        self.others = {id: smaller(look, self.looks[id]) for id, look in looks.items() if id in self.looks}
        self.looks = looks

    def left(self):
        """What each node has beside the workers that are on it or on their way there."""
        left = {id: dict(node.has) for id, node in self.nodes.items()}
        for pool in self.pools:
            for id in [hand.node for hand in pool.hands] + pool.starting:
                for name, units in pool.needs.items() if id in left else ():
                    left[id][name] = left[id].get(name, 0) - units
        return left

    def able(self, pool):
        """The nodes that have what a pool's worker needs, whoever holds it."""
        return [id for id, node in sorted(self.there().items()) if not lacking(pool.needs, node.has)]

    def usable(self, pool, now):
        """Those of them that are not avoided; where all are, those that may do all the same."""
        avoided = {id: avoided for id, avoided in self.avoided.items() if avoided.until > now}
        able = self.able(pool)
        return [id for id in able if id not in avoided] or [id for id in able if avoided[id].why is None]

    def place(self, pool, now):
        """The node for a pool's next worker; none where Ray is to choose, since others hold what is left; or nowhere."""
        usable = self.usable(pool, now)
        left = self.left()
        fits = [id for id in usable if not lacking(pool.needs, left[id])]
        free = [id for id in fits if not lacking(pool.needs, sum_of(left[id], self.others.get(id, {}), -1))]
        if not fits:
            return NOWHERE
        if not free and now >= self.chooses and len(self.able(pool)) == len(usable) and len(self.there()) == len(self.nodes):
            return None
        # GPUs are left to those who need them; where much is left, there is most time.
        idle_gpus = lambda id: 0 if pool.needs.get("GPU") else self.nodes[id].has.get("GPU", 0)
        return min(free or fits, key=lambda id: (idle_gpus(id), -times(left[id], pool.needs), id))

    def give_way(self, pool, now):
        """Workers that have nothing to do, and a node on which one of a pool's has room without them."""

        def ripe(hand, taken):
            if not idle(hand) or hand.leaves or hand.pool.waiting or now - hand.since < IDLE_S:
                return False
            last = sum(other not in taken for other in hand.pool.hands) == 1
            return not (last and pool.hands) or now - hand.since >= self.turn_s

        return self.fewest(pool, now, ripe)

    def turn(self, now):
        """The pool that has waited longest without any worker, if it is its turn, with a node and the workers that give way to it as soon as
        they have done what they are at."""
        waits = [pool for pool in self.pools if pool.waiting and not pool.hands and not pool.starting]
        waits = [pool for pool in waits if pool.without is not None and now - pool.without >= self.turn_s]

        def ripe(hand, taken):
            free = idle(hand) and not hand.pool.waiting and now - hand.since >= IDLE_S
            return hand.line is not None and (free or now - hand.born >= self.turn_s)

        for pool in sorted(waits, key=lambda pool: pool.without):
            found = self.fewest(pool, now, ripe)
            if found is not None:
                return pool, *found
        return None

    def fewest(self, pool, now, ripe):
        """A node on which the fewest workers, of those that are ripe, make room for one of a pool: it and these."""
        left, hands = self.left(), collections.defaultdict(list)
        for hand in (hand for other in self.pools if other is not pool for hand in other.hands):
            hands[hand.node].append(hand)
        best, key = None, None
        for id in self.usable(pool, now):
            has, taken = sum_of(left[id], self.others.get(id, {}), -1), []
            wanted = lacking(pool.needs, has)
            gives = lambda hand: sum(min(units, hand.pool.needs.get(name, 0)) / units for name, units in wanted.items())
            for hand in sorted(hands[id], key=lambda hand: (bool(hand.under_way), -gives(hand), hand.since)):
                lacks = lacking(pool.needs, has)
                if any(hand.pool.needs.get(name) for name in lacks) and ripe(hand, taken):
                    taken.append(hand)
                    has = sum_of(has, hand.pool.needs)
            for hand in list(taken):
                # With what came later, it may not be needed.
                fewer = sum_of(has, hand.pool.needs, -1)
                if not lacking(pool.needs, fewer):
                    taken.remove(hand)
                    has = fewer
            cost = (sum(bool(hand.under_way) for hand in taken), len(taken))
            if taken and not lacking(pool.needs, has) and (best is None or cost < key):
                best, key = (id, taken), cost
        return best

    def failed(self, id, now, why):
        """A worker could not be started on a node, or on one that Ray did not name; `why` where Ray could not set up what it needs."""
        least = AVOID_S if why is None else UNUSABLE_S
        if id is None:
            self.chooses = now + least
            return
        before = self.avoided.get(id)
        seconds = min(AVOID_MOST_S, max(least, 2 * before.seconds if before else 0.0))
        self.avoided[id] = Avoided(now + seconds, seconds, why)

    def worked(self, id, seconds):
        """A worker was started on a node, and took so long."""
        self.avoided.pop(id, None)
        self.turn_s = min(TURN_MOST_S, max(TURN_S, TURN_STARTS * seconds))

    def hopeless(self, pool, now):
        """What Ray said, where it could set up no node that has what a pool needs."""
        able = self.able(pool)
        avoided = [self.avoided[id] for id in able if id in self.avoided and self.avoided[id].until > now]
        if pool.hands or not able or len(avoided) < len(able) or any(avoided.why is None for avoided in avoided):
            return None
        return avoided[0].why


def idle(hand):
    return hand.line is not None and not hand.under_way and not hand.giving


def lacking(needs, has):
    """What of it is not there."""
    return {name: units - has.get(name, 0) for name, units in needs.items() if units > has.get(name, 0) + 1e-6}


def sum_of(one, other, sign=1):
    return {name: units + sign * other.get(name, 0) for name, units in one.items()}


def smaller(one, other):
    return {name: min(units, other[name]) for name, units in one.items() if name in other}


def times(has, needs):
    """How many workers that need so much fit into it."""
    return min((int((has.get(name, 0) + 1e-6) // units) for name, units in needs.items() if units > 0), default=1)
