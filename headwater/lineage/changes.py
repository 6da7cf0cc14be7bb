"""What an event changes, in the words of who watches: which run, asset or backfill is not any more as it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headwater.core.journal.lines import decode
from headwater.records import dataclass

MOST = 1_000
"""So many changes are told one by one at a time; beyond that it is told that everything may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something has changed: look at it again. `event` is the kind of the last event that changed it.

    `kind` is run, log (what a run logged), asset, backfill, partitions (a list of dynamic ones), request, or everything.
    """

    kind: str
    id: str
    event: str


def changes(lines: Iterable[bytes]) -> list[Change]:
    """What lines of a journal change, each thing once; no more than `MOST` of them.

    >>> changes([b'{"w":"a","n":0,"id":"i","t":1,"k":"run.started","v":1,"b":{"run_id":"r"},"c":"0"}'])
    [Change(kind='run', id='r', event='run.started')]
    """
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        try:
            event = decode(line)
            for subject in _subjects(event.kind, event.body):
                found[subject] = event.kind
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that is no event changes nothing
        if len(found) > MOST:
            return [Change(kind="everything", id="*", event=event.kind)]
    return [Change(kind=kind, id=name, event=event) for (kind, name), event in found.items()]


def _subjects(kind: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    match kind.partition(".")[0]:
        case "run" | "task":
            return [("run", body["run_id"])]
        case "log":
            return [("log", body["run_id"])]
        case "asset" | "materialization":
            return [("asset", (body.get("asset") or body["started"]["asset"])["name"])]
        case "backfill":
            return [("backfill", body["backfill_id"])]
        case "work":
            return [("request", body["request_id"])]
        case "partitions":
            return [("partitions", body["name"])]
        case "runs":
            return [("everything", "*")]
    return []
