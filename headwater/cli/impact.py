"""`lineage impact` and `lineage diff`: what a change reaches, and what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from headwater.cli.common import NOW, moment, open_project
from headwater.cli.options import COMMON, WHERE, Common, Selection, Where
from headwater.cli.output import emit
from headwater.wording import counted

if TYPE_CHECKING:
    from headwater.lineage.difference import GraphDifference
    from headwater.lineage.impact import Impact


def lineage_impact(
    subject: Selection,
    /,
    *,
    change: Literal["drop", "rename", "retype"] = "drop",
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print what a change of an asset or a column reaches: columns, assets, checks, and what becomes stale.

    Parameters
    ----------
    subject
        An asset, or one of its columns: flights.dep_delay.
    change
        What is to be done to it.
    """
    from headwater.lineage.questions import Questions

    project = open_project(where)
    with project.recorded(outlined=True):
        found = Questions(project.projection).impact(subject, change)
    emit(found.to_json(), common.json, lambda: "\n".join(_impact_lines(found)))
    return 0


def lineage_diff(before: str, after: str, /, *, common: Common = COMMON, where: Where = WHERE) -> int:
    """Print what differs between two graphs.

    Parameters
    ----------
    before
        A run's id, or its beginning; or a time, or now: what was known then.
    after
        The same, of the other graph.
    """
    from headwater.lineage.questions import Questions

    project = open_project(where)
    with project.recorded():
        found = Questions(project.projection).difference(_run_or_moment(before), _run_or_moment(after))
    value = {"before": before, "after": after, **found.to_json()}
    emit(value, common.json, lambda: "\n".join(_difference_lines(found)) or "nothing differs")
    return 0


def _run_or_moment(text: str) -> str | int:
    if text == NOW:
        return moment(text)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return text
    # Eight digits are a date to Python; the beginning of a run's id may look just so.
    return moment(text) if "-" in text[:5] else text


def _impact_lines(found: Impact) -> Iterator[str]:
    done = {"drop": "dropping", "rename": "renaming", "retype": "retyping"}[found.change]
    columns, assets = counted(len(found.columns), "column"), counted(len(found.assets), "asset")
    yield f"{done} {found.subject} reaches {columns} of {assets}"
    yield from (f"  {one.effect:<9} {one.id}{_via(one.via)}" for one in found.columns)
    yield from (f"  {one.effect:<9} every row of {one.id}{_via(one.via)}" for one in found.wholes)
    if not found.columns and not found.wholes:
        yield from (f"  {one.effect:<9} {one.id}" for one in found.assets)
    yield from (f"check: {one.name} of {one.asset}" for one in found.checks)
    if found.stale:
        yield f"stale then: {', '.join(found.stale)}"
    yield from (f"unknown: some columns of {name} are made in a way that can't be seen" for name in found.unknown)


def _via(kinds: tuple[str, ...]) -> str:
    return f" ({', '.join(one.lower().replace('_', ' ') for one in kinds)})" if kinds else ""


def _difference_lines(found: GraphDifference) -> Iterator[str]:
    for sign, nodes, edges in (
        ("+", found.added_nodes, found.added_edges),
        ("-", found.removed_nodes, found.removed_edges),
    ):
        yield from (f"{sign} {node.kind} {node.id}" for node in nodes)
        yield from (f"{sign} {edge.source} → {edge.target} ({(edge.subtype or edge.origin).lower()})" for edge in edges)
    yield from (f"~ {new.id}: {old.type} → {new.type}" for old, new in found.retyped)
