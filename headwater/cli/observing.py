"""`observe`: look at sources, as their observers do, and record what is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headwater import clock
from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.observers import observer_of
from headwater.assets.observing import observe as look
from headwater.cli.board import chosen, facts_for
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, Common, Selection, Where
from headwater.cli.output import emit, instant, say
from headwater.cli.tables import Cell, table
from headwater.errors import HeadwaterError, UsageError

_SEEN, _FAILED = "● seen", "✖ failed"
_COLOURS = {_SEEN: "green", _FAILED: "red"}


def observe(
    selection: Selection = "*",
    /,
    *,
    parallel: int = 8,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Ask the observers of sources what is there now, and record it: the assets that have one (`@observer`, `observe=`).

    Exits with 1 when an observer fails; what the others saw is recorded.

    Parameters
    ----------
    selection
        Which assets; see `headwater status --help`.
    parallel
        How many are looked at at once.
    """
    if parallel < 1:
        raise UsageError(f"--parallel {parallel} is not a number of observers", hint="give 1 or more")
    project = open_project(where, writes=True)
    assets = registry.current().assets
    names = chosen(facts_for(project.catalog, selection), selection, clock.now_us())
    sources = [assets[name] for name in names if name in assets and observer_of(assets[name]) is not None]
    with ThreadPoolExecutor(parallel, thread_name_prefix="observe") as pool:
        rows = list(pool.map(_row, sources))
    project.record_verdicts()
    value = {"observed": rows}
    which = "" if selection == "*" else " in the selection"
    emit(value, common.json, lambda: _text(rows) if rows else f"no source{which} has an observer: {_GIVE_ONE}")
    failed = [row["asset"] for row in rows if row["error"] is not None]
    for row in rows:
        if row["error"] is not None:
            say(f"{row['asset']}: {row['error']}")
    if failed:
        say(f"{len(failed)} of {len(rows)} observers failed: {', '.join(failed)}")
        return 1
    return 0


_GIVE_ONE = "declare one with @observer(asset), or Asset(…, observe=file_times())"


def _row(asset: Asset) -> dict[str, Any]:
    try:
        seen = look(asset)
    except Exception as error:  # noqa: BLE001 - an observer is the user's: it may raise anything, and the others go on
        told = str(error) if isinstance(error, HeadwaterError) else f"{type(error).__name__}: {error}"
        return {"asset": asset.name, **dict.fromkeys(_FIELDS), "error": told}
    through = None if seen.data_through is None else clock.rfc3339(seen.data_through)
    values = (seen.partition, seen.version, through, seen.rows)
    return {"asset": asset.name, **dict(zip(_FIELDS, values, strict=True)), "error": None}


_FIELDS = ("partition", "version", "data_through", "rows")


def _text(rows: list[dict[str, Any]]) -> str:
    cells: list[tuple[Cell, ...]] = [
        (
            row["asset"],
            _SEEN if row["error"] is None else _FAILED,
            instant(row["data_through"]),
            None if row["rows"] is None else f"{row['rows']:,}",
            row["version"] if row["error"] is None else row["error"].partition("\n")[0],
        )
        for row in rows
    ]
    headers = ("asset", "state", "data through", "rows", "version")
    return table(headers, cells, numbers=("rows",), colours=_COLOURS)
