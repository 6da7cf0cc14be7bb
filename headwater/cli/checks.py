"""`checks` and `check`: what checks said, and what they say of the data in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets import registry
from headwater.cli.board import chosen, facts_for, facts_upstream
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where, check_limit
from headwater.cli.output import ago, emit, say
from headwater.cli.tables import Cell, table
from headwater.errors import PartitionError, RefusedError, UnknownNameError
from headwater.wording import command

if TYPE_CHECKING:
    from headwater.assets.asset import Asset
    from headwater.assets.facts import Facts

_PASSED = "● passed"
_SHAPES = {"error": "✖ failed", "warn": "▲ failed"}
"""What a failure looks like, by its severity: what a colour says must also be seen without it."""
_COLOURS = {_PASSED: "green", _SHAPES["error"]: "red", _SHAPES["warn"]: "yellow"}


def checks(
    selection: Selection = "*",
    /,
    *,
    failed: Flag = False,
    history: Flag = False,
    limit: int = 200,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print what the checks of assets said: a row each, with what it said last, those that fail first.

    Parameters
    ----------
    selection
        Which assets; see `headwater status --help`.
    failed
        Only what failed.
    history
        Every answer, the newest first.
    limit
        At most so many rows.
    """
    check_limit(limit, "rows")
    project = open_project(where)
    with project.recorded():
        names = None if selection == "*" else chosen(facts_for(project.catalog, selection), selection, clock.now_us())
        value = project.reader.checks(names, history=history, failed=failed, limit=limit)
    none = "no check has failed" if failed else "no check was asked yet: give an asset some, Asset(…, checks=[…])"
    emit(value, common.json, lambda: _text(value, history=history) if value["checks"] else none)
    return 0


_LOAD = "name the file that defines it: -f my_flow.py, or list it in [tool.headwater] modules"


def check(subject: Selection, /, *, common: Common = COMMON, where: Where = WHERE) -> int:
    """Ask the checks of an asset about the data that is in place now, and record what they say.

    Exits with 3 when a check fails that blocks or is of severity error; nothing is changed.

    Parameters
    ----------
    subject
        An asset, one of its partitions or a range: delays, delays@2013-01-05, delays@2013-01-01..2013-01-31. Of an asset
        with partitions that is named alone, every partition that is in place.
    """
    from headwater.checks import run_checks

    project = open_project(where, writes=True)
    name, _, key = subject.partition("@")
    asset = registry.current().assets.get(name)
    with project.projection.session():
        definitions = project.catalog.definitions()
        if asset is None:
            if name in definitions:
                raise UnknownNameError(f"nothing in the loaded modules defines '{name}'", hint=_LOAD)
            raise UnknownNameError.of("asset", name, definitions, none=_LOAD)
        facts = facts_upstream(project.catalog, definitions, [name])
    parts = _partitions(facts, asset, key)
    rows = [{"asset": name, **asdict(result)} for part in parts for result in run_checks(asset, partition=part)]
    value = {"checks": rows, "passed": all(row["passed"] for row in rows)}
    emit(value, common.json, lambda: _answers(rows) or f"nothing of {name} is in place")
    refused = [row for row in rows if not row["passed"] and row["severity"] == "error"]
    if refused:
        say(f"{len(refused)} of {len(rows)} checks failed")
        return RefusedError.exit_code
    return 0


def _partitions(facts: Facts, asset: Asset, key: str) -> list[str | None]:
    if asset.partitions is None:
        if key:
            raise PartitionError(f"the asset '{asset.name}' has no partitions", hint=command("check", asset.name))
        return [None]
    made = facts.of(asset.name).made
    if not key:
        # What is no partition any more, as after a key was taken out, can't be asked for: its data stays.
        return sorted(filter(asset.partitions.has, made), key=str)
    try:
        return [asset.partitions.partition(key).key]  # also one that would mean something in a set, such as `a,b`
    except PartitionError:
        wanted = list(asset.partitions.parse(key).keys())
    return wanted if len(wanted) == 1 else [one for one in wanted if one in made]


def _text(value: Mapping[str, Any], *, history: bool) -> str:
    now = clock.rfc3339(clock.now_us())
    cells: list[tuple[Cell, ...]] = []
    for row in value["checks"]:
        of = row["partition"] if history else _share(row)
        cells.append((row["asset"], row["name"], _state(row), of, ago(row["at"], now), row["message"]))
    of_what = "partition" if history else "partitions"
    headers = ("asset", "check", "state", of_what, "asked", "message")
    return table(headers, cells, numbers=("asked",), spare=(of_what, "asked"), colours=_COLOURS)


def _share(row: Mapping[str, Any]) -> str | None:
    if row["partition"] is None:
        return None
    return f"{row['failing']:,} of {row['partitions']:,} fail" if row["failing"] else f"{row['partitions']:,}"


def _answers(rows: list[dict[str, Any]]) -> str:
    cells = [(row["partition"], row["name"], _state(row), row["message"]) for row in rows]
    headers = ("partition", "check", "state", "message")
    return table(headers, cells, spare=("partition",), colours=_COLOURS) if rows else ""


def _state(row: Mapping[str, Any]) -> str:
    return _PASSED if row["passed"] else _SHAPES[row["severity"]]
