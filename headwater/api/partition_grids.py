"""Pictures of partitions: their states are worked out once for each state of the projection, and products are cut into tables."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.api.partition_picture import STATES, States, days, starting, states_of, years
from headwater.api.problems import ApiError
from headwater.assets.partition_sets import PartitionsDefinition, PartitionSet
from headwater.assets.partitions import partitioning
from headwater.assets.product_partitions import ProductPartitions
from headwater.assets.staleness import Staleness, staleness
from headwater.assets.time_partitions import TimePartitions
from headwater.lineage.statements import statements

if TYPE_CHECKING:
    from headwater.api.service import Service

CELLS = 1_000
"""Cells of a picture, at most."""
_ROWS = 50
"""Rows of a product's table on a page."""
_COLUMNS = 62
"""Columns of a product's table, at most."""
_OTHERS = 200
"""Keys that are told of a dimension to choose from, at most."""
_KEPT = 16
"""Assets whose states are kept."""
_AGAIN = 60
"""Seconds after which new partitions may have come that nobody wrote about."""


class Grids:
    """States of the partitions of a server's assets, kept for as long as nothing new comes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], tuple[States, Staleness | None]] = {}

    def states(self, asset: str) -> States:
        """The states of an asset's partitions. Raises UnknownNameError."""
        return self._found(asset)[0]

    def staleness(self, asset: str) -> Staleness | None:
        """What is stale of an asset, None when nothing can be. Raises UnknownNameError."""
        return self._found(asset)[1]

    def _found(self, asset: str) -> tuple[States, Staleness | None]:
        projection = self._service.project.projection
        now = clock.now_us()
        key = (projection.version, asset, now // (_AGAIN * 1_000_000))
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            facts, before = self._service.board.known(asset)
            judged = (before.stale if before else staleness(facts, now)).get(asset)
            with projection.session() as session:
                running = [one for (one,) in session.rows(statements("run_pages.sql")["running"], {"asset": asset})]
            divided = partitioning(facts.definitions[asset])
            found = states_of(divided, facts.of(asset), judged, running, now), judged
            with self._lock:
                while len(self._kept) >= _KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[key] = found
        return found


def product_grid(
    states: States,
    divided: ProductPartitions,
    *,
    across: str | None,
    at: Sequence[str],
    year: int | None,
    month: int | None,
    offset: int,
) -> dict[str, Any]:
    """The table of a product: a page of the keys of one dimension by a month (or the first keys) of another one."""
    dims = dict(divided.dims)
    time = divided.time
    columns = time if time is not None else next(reversed(dims))
    others = [name for name in dims if name != columns]
    rows = across if across in others else others[0] if others else columns
    chosen = _chosen(dims, [name for name in others if name != rows], at)
    side, cells, found = _columns(dims[columns], year, month)
    keys = dims[rows].all()
    page = [one for one, _ in zip(_from(keys, offset), range(_ROWS), strict=False)]
    window = divided.of_sides({**chosen, columns: side, rows: dims[rows].set_of(page)})
    counted = _counted(states, divided, window, rows, columns, [low for _, low, _ in cells])
    write = dims[columns].write
    ends = [(label, write(dims[columns].key(low)), write(dims[columns].key(high - 1))) for label, low, high in cells]
    return {
        **found,
        "dimensions": [_told(name, dims[name]) for name in dims],
        "across": rows,
        "along": columns,
        "at": {name: str(one) for name, one in chosen.items()},
        "columns": [{"label": label, "first": first, "last": last} for label, first, last in ends],
        "rows": [
            {
                "key": key,
                "text": dims[rows].write(key),
                "cells": [counted.get((dims[rows].ordinal(key), place), {}) for place in range(len(cells))],
            }
            for key in page
        ],
        "row_total": len(keys),
        "next": offset + len(page) if offset + len(page) < len(keys) else None,
    }


def _from(keys: PartitionSet, offset: int) -> Any:
    place = 0
    for low, high in keys.intervals:
        if place + high - low > offset:
            for number in range(low + max(offset - place, 0), high):
                yield keys.definition.key(number)
        place += high - low


def _chosen(dims: dict[str, PartitionsDefinition], names: Sequence[str], at: Sequence[str]) -> dict[str, PartitionSet]:
    """One key of each of these dimensions: the one that is asked for, else the first."""
    asked = dict(one.split("=", 1) for one in at if "=" in one)
    for name in asked:
        if name not in dims:
            raise ApiError(400, "usage", "there is no such dimension", hint=f"one of: {', '.join(dims)}")
    found = {}
    for name in names:
        every = dims[name].all()
        found[name] = dims[name].parse_part(asked[name]) if name in asked else every.stretches(1)
        if found[name]:
            found[name] = dims[name].set_of([found[name].first.key])
    return found


def _columns(
    divided: PartitionsDefinition, year: int | None, month: int | None
) -> tuple[PartitionSet, list[tuple[str, int, int]], dict[str, Any]]:
    """The partitions of the columns, the columns with their numbers, and what the answer tells of them."""
    every = divided.all()
    if not isinstance(divided, TimePartitions) or not every:
        cells = [(str(divided.key(n)), n, n + 1) for low, high in every.intervals for n in range(low, high)][:_COLUMNS]
        return divided.clip([(low, high) for _, low, high in cells]), cells, {}
    within = every.intervals
    last = divided.named(within[-1][1] - 1)
    year, month = year or last.year, month or (last.month if year in (None, last.year) else 1)
    first, after = date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)
    overview = {"years": [_year(divided, *one) for one in years(divided, within)][-200:], "year": year}
    if divided.step in ("weekly", "monthly"):
        low, high = starting(divided, date(year, 1, 1)), starting(divided, date(year + 1, 1, 1))
        numbers = [n for n in range(low, high) if within[0][0] <= n < within[-1][1]]
        cells = [(divided.key(n), n, n + 1) for n in numbers]
    else:
        cells = [(one.isoformat(), low, high) for one, low, high in days(divided, first, after, within) if one < after]
        overview["month"] = month
    return divided.clip([(low, high) for _, low, high in cells]), cells, overview


def _year(divided: TimePartitions, year: int, low: int, high: int) -> dict[str, Any]:
    return {"label": str(year), "first": divided.key(low), "last": divided.key(high - 1), "states": {}}


def _counted(
    states: States, divided: ProductPartitions, window: PartitionSet, rows: str, columns: str, lows: list[int]
) -> dict[tuple[int, int], dict[str, int]]:
    """By row and column, how many partitions of a window are in each state."""
    from bisect import bisect_right

    names = [name for name, _ in divided.inner]
    row, column = names.index(rows), names.index(columns)
    found: dict[tuple[int, int], dict[str, int]] = {}
    for state in STATES:
        for part in states.sets[state] & window:
            point = divided.point_of(part.key)
            cell = found.setdefault((point[row], bisect_right(lows, point[column]) - 1), {})
            cell[state] = cell.get(state, 0) + 1
    return found


def _told(name: str, divided: PartitionsDefinition) -> dict[str, Any]:
    every = divided.all()
    few = isinstance(divided, TimePartitions)
    # As they are asked for with `at`, and told there: a key may hold what parts keys.
    keys = [] if few else [divided.write(one) for one, _ in zip(_from(every, 0), range(_OTHERS), strict=False)]
    return {"name": name, "kind": divided.to_json()["type"], "total": len(every), "keys": keys}
