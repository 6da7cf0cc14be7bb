"""`status`, `freshness`, `explain`: what is there, how fresh it is, and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal

from cyclopts import Parameter

from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.selection import select
from headwater.assets.staleness import staleness
from headwater.cli.board_text import freshness_text, status_text
from headwater.cli.common import moment, open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where
from headwater.cli.output import emit, say, tree
from headwater.errors import RefusedError, UnknownNameError

Verdict = Literal["fresh", "warn", "late", "unknown", "none"]


def status(
    selection: Selection = "*",
    /,
    *,
    verdict: Annotated[tuple[Verdict, ...], Parameter(negative=(), show_default=False)] = (),
    all: Flag = False,
    as_of: str | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the board: each asset with its partitions, how far its data reaches, its freshness and its staleness.

    Parameters
    ----------
    selection
        Which assets: delays, +delays, delays+2, tag:tier=gold, owner:team:ops, kind:parquet, stale(), and or not.
    verdict
        Only assets with this verdict; it can be given several times.
    all
        Every asset: a terminal shows the worst that fit on it. Files and pipes get every one in any case.
    as_of
        The time to judge at: 2014-01-01 or 2014-01-01T09:00+01:00. Now, when it is left out.
    """
    facts = _facts(where)
    at = moment(as_of)
    value = board.status(facts, chosen(facts, selection, at), at)
    none = "no assets yet: run a flow that materializes one"
    if verdict:
        none = f"no asset is {' or '.join(verdict)}" if value["assets"] else none
        value["assets"] = [row for row in value["assets"] if row["freshness"]["verdict"] in verdict]
    emit(value, common.json, lambda: status_text(value, every=all) if value["assets"] else none)
    return 0


def freshness(
    selection: Selection = "*",
    /,
    *,
    as_of: str | None = None,
    fail_on: Annotated[tuple[Verdict, ...], Parameter(negative=(), show_default=False)] = (),
    all: Flag = False,
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
    all
        Every asset, also where a terminal has no room for them.
    """
    facts = _facts(where)
    at = moment(as_of)
    value = board.freshness(facts, chosen(facts, selection, at), at)
    emit(value, common.json, lambda: freshness_text(value, every=all))
    failing = [row["name"] for row in value["assets"] if row["freshness"]["verdict"] in fail_on]
    if failing:
        say(f"{', '.join(failing)}: {' or '.join(fail_on)}, which --fail-on names")
        return RefusedError.exit_code
    return 0


def explain(subject: Selection, /, *, as_of: str | None = None, common: Common = COMMON, where: Where = WHERE) -> int:
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
    found = select(selection, facts.definitions, stale=_staleness(facts, as_of))
    if not found and selection != "*" and "stale(" not in selection:
        raise UnknownNameError.of("asset", selection, _selectable(facts), where="the selection")
    return found


def _selectable(facts: Facts) -> set[str]:
    """What a selection may name: the assets, and their tags, owners and kinds."""
    found = set(facts.definitions)
    for one in facts.definitions.values():
        found |= {f"tag:{key}={value}" for key, value in one.tags.items()}
        found |= {f"owner:{owner}" for owner in one.owners} | {f"kind:{one.ref.kind}"}
    return found


def _staleness(facts: Facts, as_of: int) -> Callable[[str], bool]:
    """Says which assets are stale; all are judged at once, when somebody asks for the first."""
    judged = cache(lambda: staleness(facts, as_of))
    return lambda name: name in judged() and judged()[name].is_stale


def _facts(where: Where) -> Facts:
    return open_project(where).catalog.facts()
