"""Limits and rates as they stand: how many slots there are, who holds them, and how many wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headwater.core.concurrency import Holder
from headwater.core.gates import PREFIX
from headwater.core.journal.carrier import LockTable, SeenLock

_RATE, _RUNS = "rate:", "runs:"
_KINDS = {PREFIX: "limit", _RUNS: "runs"}


def limits(locks: LockTable, given: Mapping[str, int], home: Path) -> dict[str, Any]:
    """`{"limits": [{name, kind, slots, held, waiting}], "rates": [{name, rate, used, waiting}]}`: those given, and those in use.

    A slot is shown as held only while the process that took it lives.
    """
    return {"limits": _limits(locks, given), "rates": _rates(locks, home)}


def _limits(locks: LockTable, given: Mapping[str, int]) -> list[dict[str, Any]]:
    held: dict[str, list[tuple[SeenLock, Holder]]] = {PREFIX + name: [] for name in given}
    for lock in locks.seen():
        holder = Holder.of(lock.told)
        if holder is not None and lock.name.startswith(tuple(_KINDS)):
            held.setdefault(lock.name, []).append((lock, holder))
    return [_limit(locks, given, name, found) for name, found in sorted(held.items())]


def _limit(
    locks: LockTable, given: Mapping[str, int], lock: str, found: Sequence[tuple[SeenLock, Holder]]
) -> dict[str, Any]:
    kind, name = next((kind, lock.removeprefix(prefix)) for prefix, kind in _KINDS.items() if lock.startswith(prefix))
    slots = [holder.slots for _, holder in found]
    if kind == "limit" and name in given:
        slots.append(given[name])
    return {
        "name": name,
        "kind": kind,
        "slots": min(slots),
        "held": [_holder(lock, holder) for lock, holder in found],
        "waiting": locks.waiting(lock),
    }


def _holder(lock: SeenLock, holder: Holder) -> dict[str, Any]:
    return {
        "slot": lock.slot,
        "pid": lock.pid,
        "run": holder.run_id,
        "flow": holder.flow,
        "task": holder.task,
        "task_run": holder.task_run_id,
    }


def _rates(locks: LockTable, home: Path) -> list[dict[str, Any]]:
    from headwater.core.rates import FOLDER, counted

    queues = {lock.name: lock for lock in locks.seen() if lock.name.startswith(_RATE)}
    return [
        {
            "name": name,
            "rate": str(rate),
            "used": used,
            # Who is next holds the lock of the rate, and waits for the time.
            "waiting": locks.waiting(_RATE + name) + (_RATE + name in queues),
        }
        for name, rate, used in counted(home / FOLDER)
    ]
