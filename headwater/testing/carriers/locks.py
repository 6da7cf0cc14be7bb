"""Locks exclude, and are freed by their holder's release or death."""

# ruff: noqa: D102 - the name of a test says what it is about

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import ExitStack

from headwater.core.journal.carrier import HeldLock
from headwater.errors import LockTimeout
from headwater.testing.carriers.cases import PATIENCE, assert_same, assert_true, at_once, error_of, held
from headwater.testing.carriers.process import Tests


def taken(steps: Generator[float, int | None, HeldLock]) -> HeldLock | None:
    """The lock, if the next step gives it."""
    try:
        next(steps)
    except StopIteration as stop:
        lock: HeldLock = stop.value
        return lock
    return None


class LockTests(Tests):
    """Locks exclude, and are freed by their holder's release or death."""

    def test_a_lock_is_held_by_one_at_a_time(self) -> None:
        with self.carrier() as carrier:
            lock = held(carrier, "it")
            assert_same((lock.name, lock.slot, lock.held), ("it", 0, True), "a lock that is held")
            assert_true(carrier.locks.try_hold("it") is None, "a lock is held twice")
            with carrier.locks.hold("another", timeout=0):
                pass
            lock.release()
            lock.release()
            assert_true(not lock.held, "a lock is held after its release")
            with carrier.locks.hold("it", timeout=0):
                assert_true(carrier.locks.try_hold("it") is None, "a lock is held twice")

    def test_processes_exclude_each_other(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.hold("it")
            assert_true(carrier.locks.try_hold("it") is None, "two processes hold a lock")
            assert_same(carrier.locks.holder("it"), other.pid, "who holds the lock")

    def test_threads_exclude_each_other(self) -> None:
        with self.carrier() as carrier:
            inside, turns = [0], [0]

            def work(_: int) -> None:
                for _turn in range(10):
                    with carrier.locks.hold("it", timeout=PATIENCE):
                        inside[0] += 1
                        assert_same(inside[0], 1, "how many hold the lock")
                        turns[0] += 1
                        inside[0] -= 1

            at_once(work, range(4))
            assert_same(turns, [40], "how often the lock was held")

    def test_a_lock_has_as_many_slots_as_are_asked_for(self) -> None:
        with self.carrier() as carrier:
            found = [carrier.locks.try_hold("limit", slots=2) for _ in range(3)]
            assert_same([None if lock is None else lock.slot for lock in found], [0, 1, None], "the slots")
            first, second, _ = found
            if first is not None and second is not None:
                first.release()
                with carrier.locks.hold("limit", slots=2, timeout=0) as again:
                    assert_same(again.slot, 0, "the slot that was free")
                second.release()

    def test_an_error_frees_the_lock(self) -> None:
        with self.carrier() as carrier:

            def fail() -> None:
                with carrier.locks.hold("it"):
                    raise ZeroDivisionError

            assert_same(type(error_of(fail)), ZeroDivisionError, "the error")
            held(carrier, "it").release()

    def test_a_killed_process_frees_its_locks(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.hold("one")
            other.hold("two")
            other.kill()
            for name in ("one", "two"):
                with carrier.locks.hold(name, timeout=PATIENCE) as lock:
                    assert_true(lock.held, "the lock is not held")

    def test_a_waiter_gets_the_lock_when_it_is_free(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.hold("it")
            waiting = threading.Event()

            def wait() -> None:
                waiting.set()
                with carrier.locks.hold("it", timeout=PATIENCE):
                    pass

            def kill() -> None:
                waiting.wait(PATIENCE)
                other.kill()

            at_once(lambda work: work(), [wait, kill])

    def test_a_timeout_names_the_holder(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.hold("it")

            def wait() -> None:
                with carrier.locks.hold("it", timeout=0.02):
                    pass

            error = error_of(wait)
            assert_true(isinstance(error, LockTimeout) and bool(error.hint), f"waiting ended with {error!r}")
            assert_true("'it'" in str(error) and str(other.pid) in str(error), f"the holder is not named: {error}")

    def test_steps_take_a_lock_without_blocking(self) -> None:
        with self.carrier() as carrier:
            lock = taken(carrier.locks.steps("it"))
            assert_true(lock is not None and lock.held, "a free lock takes more than one step")
            first, second = carrier.locks.steps("it"), carrier.locks.steps("it")
            for steps in (first, second, first, second):
                assert_true(0 <= next(steps) < PATIENCE, "a step gives no time until the next one")
            if lock is not None:
                lock.release()
            assert_true(taken(second) is None, "who came later is served first")
            lock = taken(first)
            assert_true(lock is not None and lock.held, "the first in the line does not get a free lock")
            if lock is not None:
                lock.release()
            lock = taken(second)
            assert_true(lock is not None, "the second in the line does not get a free lock")
            if lock is not None:
                lock.release()

    def test_steps_that_are_closed_give_the_place_up(self) -> None:
        with self.carrier() as carrier:
            lock, steps = held(carrier, "it"), carrier.locks.steps("it")
            next(steps)
            assert_same(carrier.locks.waiting("it"), 1, "how many wait")
            steps.close()
            assert_same(carrier.locks.waiting("it"), 0, "how many wait after they left")
            lock.release()
            held(carrier, "it").release()

    def test_who_waits_says_for_how_many(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            assert_same(carrier.locks.waiting("it"), 0, "how many wait for a free lock")
            other.hold("it")
            steps = carrier.locks.steps("it")
            next(steps)
            steps.send(7)
            next(steps)
            assert_same(carrier.locks.waiting("it"), 7, "how many wait")
            assert_same(carrier.locks.waiting("it", elsewhere=True), 0, "how many wait in other processes")
            steps.close()

    def test_what_a_holder_tells_is_seen_while_it_holds(self) -> None:
        with self.carrier() as carrier:
            lock, silent = held(carrier, "it"), held(carrier, "other")
            lock.tell("the long text that was told first")
            lock.tell("nightly \u00e9\n")
            seen = [(one.name, one.slot, one.told) for one in carrier.locks.seen()]
            assert_same(seen, [("it", 0, "nightly \u00e9\n")], "what is seen")
            lock.release()
            assert_same(carrier.locks.seen(), [], "what is seen after the release")
            lock.tell("too late")
            with carrier.locks.hold("it", timeout=0):
                assert_same(carrier.locks.seen(), [], "what is seen of who told nothing")
            silent.release()

    def test_any_name_is_a_lock_of_its_own(self) -> None:
        names = ["../../etc/passwd", "a/b", "nul\0", "new\nline", "x" * 10_000, "", "\udcff", "é", "e\u0301", "'; --"]
        with self.carrier() as carrier, ExitStack() as stack:
            for name in names:
                lock = stack.enter_context(carrier.locks.hold(name, timeout=0))
                assert_same(lock.name, name, "the lock's name")
            for name in names:
                assert_true(carrier.locks.try_hold(name) is None, f"the lock {name!r} is held twice")

    def test_names_of_a_kind_may_share_their_locks(self) -> None:
        with self.carrier() as carrier:
            for number in range(20):
                with carrier.locks.hold(f"publish:{number}", timeout=0, among=4):
                    assert_true(carrier.locks.try_hold(f"publish:{number}", among=4) is None, "a lock is held twice")
