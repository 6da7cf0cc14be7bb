"""The verdict on each partition of an asset, by the policy of the asset."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from headwater import clock
from headwater.assets.data_through import DataThrough, Reach
from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import Facts
from headwater.assets.freshness_policy import Freshness, Verdict, judged
from headwater.assets.partitions import Partition


def partition_board(facts: Facts, names: Iterable[str], as_of: int, *, limit: int) -> dict[str, Any]:
    """What `freshness --partitions --json` prints: the partitions of these assets that have begun, the newest first, judged.

    A partition in time is fresh for good once its data reaches its end. Until then its clock stands where its data ends; of one
    that was never made, at its start. Of what is no time the policy judges when it was made, or how far its data reaches.
    """
    rows: list[dict[str, Any]] = []
    reach, more = Reach(facts), 0
    for name in names:
        definition = facts.definitions[name]
        if definition.partitions is None:
            continue
        parts = [one for one in definition.partitions.all(as_of) if one.start_us is None or one.start_us <= as_of]
        parts.reverse()
        more += max(len(parts) - (limit - len(rows)), 0)
        rows += [_row(facts, definition, reach, part, as_of) for part in islice(parts, max(limit - len(rows), 0))]
    return {"as_of": clock.rfc3339(as_of), "partitions": rows, "more": more}


def _row(facts: Facts, definition: AssetDefinition, reach: Reach, part: Partition, as_of: int) -> dict[str, Any]:
    name, known = definition.name, facts.of(definition.name)
    through = reach.partition(name, part.key)
    made = known.made.get(part.key)
    verdict, change = partition_verdict(
        definition.freshness, part, through, None if made is None else made.at, as_of, seen=part.key in known.observed
    )
    return {
        "asset": name,
        "partition": part.key,
        "verdict": verdict,
        "next_change": None if change is None else clock.rfc3339(change),
        "data_through": None if through.end is None else clock.rfc3339(through.end),
        "last_materialized": None if made is None else clock.rfc3339(made.at),
        "reason": through.text,
    }


def partition_verdict(
    policy: Freshness | None, part: Partition, through: DataThrough, made: int | None, as_of: int, *, seen: bool = False
) -> tuple[Verdict, int | None]:
    """The verdict on one partition, and when it is another one; `made` is when it was made, `seen` whether it was observed."""
    if policy is None:
        return "none", None
    by_data = policy.clock in ("data_through", "complete_through") or (policy.clock is None and part.end_us is not None)
    if not by_data:
        value = made
    elif through.end is not None and part.end_us is not None and through.end >= part.end_us:
        return "fresh", None
    else:
        there = made is not None or seen
        value = through.end if there else part.start_us
    return judged(policy, value, as_of)
