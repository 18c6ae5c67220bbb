"""The room of pools: which node a worker goes to, and who gives way. Nothing of Ray is needed."""

import unittest

from mkbc_room import AVOID_S, IDLE_S, NOWHERE, TURN_S, UNUSABLE_S, Node, Room


class Pool:
    def __init__(self, room, **needs):
        self.needs, self.hands, self.starting, self.waiting, self.without = needs, {}, [], [], None
        room.pools.append(self)

    def hand(self, node, since=0.0, busy=False, born=0.0):
        hand = Hand(self, node, since, busy, born)
        self.hands[hand] = None
        return hand


class Hand:
    def __init__(self, pool, node, since, busy, born):
        self.pool, self.node, self.since, self.born = pool, node, since, born
        self.line, self.giving, self.leaves, self.under_way = object(), False, False, ["call"] if busy else []


def node(free=None, **has):
    return Node("host", 1, has, has if free is None else free)


class TheRoom(unittest.TestCase):
    def test_a_worker_goes_where_there_is_room_and_leaves_gpus_to_others(self):
        room = Room({"a": node(CPU=4, GPU=1), "b": node(CPU=2), "c": node(CPU=1)})
        cores = Pool(room, CPU=1.0)
        self.assertEqual(room.place(cores, 0), "b")
        cores.starting.append("b")
        cores.hand("b")
        self.assertEqual(room.place(cores, 0), "c")
        cores.hand("c")
        self.assertEqual(room.place(cores, 0), "a")
        self.assertEqual(room.place(Pool(room, CPU=1.0, GPU=1.0), 0), "a")
        self.assertEqual(room.place(Pool(room, CPU=5.0), 0), NOWHERE)
        room.gone.add("a")
        self.assertEqual(room.place(cores, 0), NOWHERE)

    def test_as_few_idle_workers_give_way_as_will_do(self):
        room = Room({"a": node(CPU=4), "b": node(CPU=2)})
        narrow, broad, wide = Pool(room, CPU=1.0), Pool(room, CPU=2.0), Pool(room, CPU=2.0)
        first, second, other = narrow.hand("a", since=1.0), narrow.hand("a", since=2.0), broad.hand("a", since=3.0)
        narrow.hand("b", busy=True)
        self.assertEqual(room.place(wide, 9.0), NOWHERE)
        # One that gives two cores, where two that give one each were idle for longer.
        self.assertEqual(room.give_way(wide, 9.0), ("a", [other]))
        other.under_way = ["call"]
        self.assertEqual(room.give_way(wide, 9.0), ("a", [first, second]))
        # Not one that had something to do just now, or whose calls wait, or that is to go for somebody else.
        self.assertIsNone(room.give_way(wide, 2.0 + IDLE_S / 2))
        self.assertIsNotNone(room.give_way(wide, 2.0 + IDLE_S))
        narrow.waiting.append("call")
        self.assertIsNone(room.give_way(wide, 9.0))
        narrow.waiting.clear()
        second.leaves = True
        self.assertIsNone(room.give_way(wide, 9.0))

    def test_a_last_worker_stays_for_a_while_where_another_pool_only_wants_one_more(self):
        room = Room({"a": node(CPU=3)})
        one, other = Pool(room, CPU=1.0), Pool(room, CPU=1.0)
        idle = [one.hand("a"), one.hand("a")]
        other.hand("a", busy=True)
        self.assertEqual(room.give_way(other, 1.0), ("a", idle[:1]))
        del one.hands[idle[0]]
        other.hand("a", busy=True)
        self.assertIsNone(room.give_way(other, 1.0))
        self.assertEqual(room.give_way(other, TURN_S), ("a", idle[1:]))
        # Whoever has none is given it at once.
        self.assertEqual(room.give_way(Pool(room, CPU=1.0), 1.0), ("a", idle[1:]))

    def test_busy_workers_give_way_to_a_pool_without_any_after_their_turn(self):
        room = Room({"a": node(CPU=2), "b": node(CPU=2)})
        narrow, wide = Pool(room, CPU=1.0), Pool(room, CPU=2.0)
        hands = [narrow.hand(id, busy=True, born=1.0) for id in "aabb"]
        narrow.waiting.append("call")
        wide.waiting.append("call")
        self.assertIsNone(room.give_way(wide, 99.0))
        wide.without = 2.0
        self.assertIsNone(room.turn(2.0 + TURN_S / 2))
        self.assertEqual(room.turn(2.0 + TURN_S), (wide, "a", hands[:2]))
        hands[2].under_way = []
        self.assertEqual(room.turn(2.0 + TURN_S), (wide, "b", hands[2:]))
        # Workers that are new have their turn first, and one that has a worker waits.
        hands[3].born = 4.0
        self.assertEqual(room.turn(2.0 + TURN_S), (wide, "a", hands[:2]))
        # Where workers take long to start, turns are longer.
        room.worked("a", TURN_S)
        self.assertIsNone(room.turn(2.0 + 3 * TURN_S))
        self.assertIsNotNone(room.turn(4.0 + 4 * TURN_S))
        wide.starting.append("b")
        self.assertIsNone(room.turn(99.0))

    def test_what_others_hold_counts_once_it_is_seen_twice(self):
        room = Room({"a": node(CPU=2), "b": node(CPU=2)})
        wide, narrow = Pool(room, CPU=2.0), Pool(room, CPU=1.0)
        seen = {"a": node({"CPU": 1.0}, CPU=2), "b": node({}, CPU=2)}
        room.seen(seen)
        self.assertEqual(room.place(wide, 0), "a")
        room.seen(seen)
        # Where the rest is not enough, Ray chooses who is first to have room.
        self.assertIsNone(room.place(wide, 0))
        self.assertEqual(room.place(narrow, 0), "a")
        # Nobody of ours gives way where that would not do.
        narrow.hand("a")
        room.seen({"a": node({}, CPU=2), "b": node({}, CPU=2)})
        self.assertIsNone(room.give_way(wide, 9.0))

    def test_a_node_that_cannot_be_set_up_is_avoided_for_a_time_that_grows(self):
        room = Room({"a": node(CPU=1), "b": node(CPU=1)})
        pool = Pool(room, CPU=1.0)
        room.failed("a", 0.0, "no folder")
        self.assertEqual(room.place(pool, 1.0), "b")
        self.assertIsNone(room.hopeless(pool, 1.0))
        # Nor may Ray choose, which would take it.
        for _ in range(2):
            room.seen({id: node({}, CPU=1) for id in "ab"})
        self.assertEqual(room.place(pool, 1.0), "b")
        room.seen({id: node(CPU=1) for id in "ab"})
        room.failed("b", 1.0, "no folder either")
        self.assertEqual(room.place(pool, 2.0), NOWHERE)
        self.assertEqual(room.hopeless(pool, 2.0), "no folder")
        room.failed("a", UNUSABLE_S, "no folder")
        self.assertEqual(room.place(pool, 2 * UNUSABLE_S), "b")
        room.worked("b", 0.5)
        pool.hand("b")
        self.assertEqual(room.place(pool, 3 * UNUSABLE_S - 1), NOWHERE)
        self.assertEqual(room.place(pool, 3 * UNUSABLE_S), "a")

    def test_where_ray_names_no_node_it_may_not_choose_the_next_one(self):
        room = Room({"a": node(CPU=1)})
        pool = Pool(room, CPU=1.0)
        for _ in range(2):
            room.seen({"a": node({}, CPU=1)})
        self.assertIsNone(room.place(pool, 1.0))
        room.failed(None, 1.0, "no folder")
        self.assertEqual(room.place(pool, 2.0), "a")

    def test_a_node_on_which_a_worker_failed_otherwise_is_taken_last(self):
        room = Room({"a": node(CPU=1), "b": node(CPU=1)})
        pool = Pool(room, CPU=1.0)
        room.failed("a", 0.0, None)
        self.assertEqual(room.place(pool, 1.0), "b")
        room.failed("b", 1.0, None)
        self.assertEqual(room.place(pool, 2.0), "a")
        self.assertIsNone(room.hopeless(pool, 2.0))
        pool.hand("a")
        self.assertEqual(room.place(pool, 2.0), "b")
        self.assertEqual(room.place(pool, 1.0 + AVOID_S), "b")


if __name__ == "__main__":
    unittest.main()
