"""Locks exclude, and are freed by their holder's release or death."""

# ruff: noqa: D102 - the name of a test says what it is about

from __future__ import annotations

import threading
from contextlib import ExitStack

from headwater.errors import LockTimeout
from headwater.testing.carriers.cases import PATIENCE, assert_same, assert_true, at_once, error_of, held
from headwater.testing.carriers.process import Tests


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
