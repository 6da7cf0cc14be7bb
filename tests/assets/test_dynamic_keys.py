"""The lists of dynamic partitions as a process knows them, when several of its threads ask and change."""

import threading

from headwater.assets.dynamic_keys import DynamicKeys


def test_who_looks_at_the_projection_may_ask_for_a_list_that_another_thread_is_reading():
    looking, reading = threading.RLock(), threading.Event()
    waited = []

    def read(name):
        reading.set()
        waited.append(looking.acquire(timeout=2))
        if waited[-1]:
            looking.release()
        return [("acme", True)]

    lists, found = DynamicKeys(read), []
    with looking:
        other = threading.Thread(target=lambda: found.append(lists.of("customers").keys))
        other.start()
        assert reading.wait(10)
        assert lists.of("customers").keys == ("acme",)
    other.join()
    assert (found, waited) == ([("acme",)], [True, True])


def test_what_is_removed_while_a_list_is_read_does_not_come_back():
    stands = {"acme": True}

    def read(name):
        seen = list(stands.items())
        if stands["acme"]:
            stands["acme"] = False
            lists.change(name, [("acme", False)])
        return seen

    lists = DynamicKeys(read)
    assert lists.of("customers").here == frozenset()
