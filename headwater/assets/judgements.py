"""What a selection may ask of each asset: whether it is stale, whether it is late, whether its last attempt failed."""

from __future__ import annotations

from functools import cache

from headwater.assets.facts import Facts
from headwater.assets.freshness import board
from headwater.assets.selection import Answer, select
from headwater.assets.staleness import staleness


def judgements(facts: Facts, as_of: int) -> dict[str, Answer]:
    """The answers for `select`: all assets are judged at once, when somebody asks about the first.

    `as_of` is in microseconds since the epoch.
    """
    stale, verdicts = cache(lambda: staleness(facts, as_of)), cache(lambda: board(facts, as_of))
    return {
        "stale": lambda name: stale()[name].is_stale,
        "late": lambda name: verdicts()[name].verdict == "late",
        "failed": lambda name: bool(facts.failed(name)),
    }


def selected(selection: str, facts: Facts, as_of: int) -> tuple[str, ...]:
    """The names that a selection means, inputs before what reads them; see `select` for what it raises."""
    return select(selection, facts.definitions, **judgements(facts, as_of))
