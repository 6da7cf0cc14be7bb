"""`status`, `freshness`, `explain`: what is there, how fresh it is, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.selection import select
from headwater.assets.staleness import staleness
from headwater.cli.common import COMMON, WHERE, Common, Where, moment, open_project
from headwater.cli.output import duration, emit, instant, say, table, tree
from headwater.errors import RefusedError

Verdict = Literal["fresh", "warn", "late", "unknown", "none"]

SHAPES = {"fresh": "● fresh", "warn": "▲ warn", "late": "■ late", "unknown": "? unknown", "none": "· none"}
_COLOURS = {SHAPES["fresh"]: "green", SHAPES["warn"]: "yellow", SHAPES["late"]: "red", SHAPES["unknown"]: "yellow"}


def status(selection: str = "*", /, *, as_of: str | None = None, common: Common = COMMON, where: Where = WHERE) -> int:
    """Print the board: each asset with its partitions, how far its data reaches, its freshness and its staleness.

    Parameters
    ----------
    selection
        Which assets: delays, +delays, delays+2, tag:tier=gold, owner:team:ops, kind:parquet, stale(), and or not.
    as_of
        The time to judge at: 2014-01-01 or 2014-01-01T09:00+01:00. Now, when it is left out.
    """
    facts = _facts(where)
    at = moment(as_of)
    value = board.status(facts, chosen(facts, selection, at), at)
    emit(value, common.json, lambda: _status_text(value))
    return 0


def freshness(
    selection: str = "*",
    /,
    *,
    as_of: str | None = None,
    fail_on: Annotated[tuple[Verdict, ...], Parameter(negative=())] = (),
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the verdicts alone, each with its witness: the path to what holds the asset back.

    Parameters
    ----------
    selection
        Which assets; see `headwater status --help`.
    as_of
        The time to judge at. Now, when it is left out.
    fail_on
        Exit with 3 when one of the assets has this verdict.
    """
    facts = _facts(where)
    at = moment(as_of)
    value = board.freshness(facts, chosen(facts, selection, at), at)
    emit(value, common.json, lambda: freshness_text(value))
    failing = [row["name"] for row in value["assets"] if row["freshness"]["verdict"] in fail_on]
    if failing:
        say(f"{', '.join(failing)}: {' or '.join(fail_on)}, which --fail-on names")
        return RefusedError.exit_code
    return 0


def explain(subject: str, /, *, as_of: str | None = None, common: Common = COMMON, where: Where = WHERE) -> int:
    """Print why an asset, or one of its partitions, is fresh or late, stale or up to date, as a tree of reasons.

    Parameters
    ----------
    subject
        An asset, or one of its partitions: delays@2013-01-05.
    as_of
        The time to judge at. Now, when it is left out.
    """
    name, _, key = subject.partition("@")
    value = board.explain(_facts(where), name, key or None, moment(as_of))
    emit(value, common.json, lambda: tree(value["reason"]))
    return 0


def chosen(facts: Facts, selection: str, as_of: int) -> tuple[str, ...]:
    """The assets that a selection names, in the order of the graph."""
    if selection == "*" and not facts.definitions:
        return ()
    return select(selection, facts.definitions, stale=lambda name: _is_stale(facts, name, as_of))


def _is_stale(facts: Facts, name: str, as_of: int) -> bool:
    found = staleness(facts, as_of).get(name)
    return found is not None and found.is_stale


def _facts(where: Where) -> Facts:
    return open_project(where).catalog.facts()


def _status_text(value: Mapping[str, Any]) -> str:
    rows = value["assets"]
    if not rows:
        return "no assets yet: run a flow that materializes one"
    headers = ("asset", "freshness", "data through", "lag", "partitions", "rows", "stale", "why")
    cells = [
        (
            row["name"],
            SHAPES[row["freshness"]["verdict"]],
            instant(row["data_through"]),
            duration(row["freshness"]["lag"]),
            _partitions(row["partitions"]),
            None if row["rows"] is None else f"{row['rows']:,}",
            _stale(row),
            _why(row),
        )
        for row in rows
    ]
    return table(headers, cells, colours=_COLOURS) + "\n\n" + _totals(rows, value["as_of"])


def freshness_text(value: Mapping[str, Any]) -> str:
    """The verdicts as a table."""
    headers = ("asset", "freshness", "data through", "basis", "lag", "witness")
    cells = [
        (
            row["name"],
            SHAPES[row["freshness"]["verdict"]],
            instant(row["data_through"]),
            row["basis"],
            duration(row["freshness"]["lag"]),
            " ← ".join(row["freshness"]["witness"]) or None,
        )
        for row in value["assets"]
    ]
    return table(headers, cells, colours=_COLOURS) + "\n\n" + _totals(value["assets"], value["as_of"])


def _totals(rows: Iterable[Mapping[str, Any]], as_of: str) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        verdict = row["freshness"]["verdict"]
        counts[verdict] = counts.get(verdict, 0) + 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f" as of {instant(as_of)}"


def _partitions(found: Mapping[str, int] | None) -> str | None:
    if found is None:
        return None
    failed = f", {found['failed']} failed" if found["failed"] else ""
    return f"{found['materialized']}/{found['total']}{failed}"


def _stale(row: Mapping[str, Any]) -> str:
    found = row["stale"]
    if not found["is_stale"]:
        return "no"
    return "yes" if row["partitions"] is None else str(found["partitions"])


def _why(row: Mapping[str, Any]) -> str | None:
    reasons = []
    never_made = row["last_materialized"] is None and row["stale"]["is_stale"]
    if row["freshness"]["verdict"] in ("late", "warn", "unknown") and not never_made:
        witness = " ← ".join(row["freshness"]["witness"][1:])
        reasons.append(row["freshness"]["reason"] + (f" (held back by {witness})" if witness else ""))
    if row["stale"]["is_stale"] and row["stale"]["reasons"]:
        reasons.append(row["stale"]["reasons"][0]["text"])
    return "; ".join(reasons) or None
