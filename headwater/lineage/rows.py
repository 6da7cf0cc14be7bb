"""Events as rows of the projection's tables, shaped here: for a few events that is quicker than having SQL planned. Pure.

What ingest.sql says of a kind is what counts. Most kinds are taken apart as it says; the others are told here once more, and what
is out of the ordinary is left to it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import islice
from typing import Any, TypeAlias

from headwater.lineage.statements import statements
from headwater.records import dataclass

Spec: TypeAlias = "str | list[Spec] | dict[str, Spec]"
Row: TypeAlias = tuple[object, ...]
Fields: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str | None, str | None, str | None]
"""The namespace, the dataset and the partition of what was made."""


class Unusual(Exception):
    """Something that only SQL takes as it should be taken. A finding that leads to the other way."""


@dataclass(slots=True, kw_only=True)
class Shaped:
    """Rows by table, with the columns that they have; the kinds and the ids of their events; and what was made, by its key."""

    ids: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    tables: dict[str, tuple[tuple[str, ...], list[Row]]] = field(default_factory=dict)
    made: dict[Key, list[Fields]] = field(default_factory=dict)

    def add(self, table: str, row: Fields, *, but: Collection[str] = ()) -> None:
        """One more row of a table, `but` for some fields; the rows of a table all have the same."""
        columns, rows = self.tables.setdefault(table, (tuple(name for name in row if name not in but), []))
        rows.append(tuple(map(row.__getitem__, columns)))

    def pend(self, place: Fields, *, defined: bool | None) -> None:
        """Something is to be worked out of a dataset when somebody asks."""
        self.add("state.pending", {"namespace": place["namespace"], "dataset": place["dataset"], "defined": defined})


def shape(lines: Iterable[bytes]) -> Shaped:
    """The rows that events, each in a line of the journal, become; raises Unusual."""
    from orjson import JSONDecodeError, loads

    kinds: dict[str, list[tuple[str, int, object]]] = {}
    ids: list[str] = []
    try:
        for line in lines:
            event = loads(line)
            kinds.setdefault(event["k"], []).append((event["id"], event["t"], event["b"]))
            ids.append(event["id"])
        if len(set(ids)) < len(ids) or not all(map(_UUID.fullmatch, ids)):
            raise Unusual
    except (JSONDecodeError, KeyError, TypeError) as error:
        raise Unusual from error
    shaped = Shaped()
    for kind, events in kinds.items():
        if kind in statements("ingest.sql"):
            _shape_kind(shaped, kind, events)
            shaped.kinds.append(kind)
            shaped.ids += [id for id, *_ in events]
    return shaped


def latest(made: Mapping[Key, Sequence[Fields]]) -> tuple[tuple[str, ...], list[Row]]:
    """The columns and the rows of `state.latest` for what was never tried before: as the statement of that name has it."""
    rows = [_newest(key, outcomes) for key, outcomes in made.items() if key[0] is not None and key[1] is not None]
    return (*KEY, "last_run", *_ATTEMPT, *_MADE), rows


def _newest(key: Key, outcomes: Sequence[Fields]) -> Row:
    published = [one for one in outcomes if one["state"] == "published"]
    replaced = {one["replaces"] for one in published if one["version"] not in (None, one["replaces"])} - {None}
    last_run = max((one["started_at"] for one in outcomes if one["started_at"] is not None), default=None)
    tried = max(outcomes, key=lambda one: (one["time"], one["id"]))
    made: Fields = max(published, key=lambda one: (one["version"] not in replaced, one["time"], one["id"]), default={})
    error = (tried["error"] or {}).get("message")
    attempt = (tried["asset"], tried["id"], tried["time"], tried["state"], error)
    unknown = bool(made["unknown_inputs"]) if made else None
    return (*key, last_run, *attempt, *map(made.get, _MADE_OF), unknown)


def _shape_kind(shaped: Shaped, kind: str, events: list[tuple[str, int, object]]) -> None:
    ids, times, bodies = map(list, zip(*events, strict=True))
    form = _form(kind)
    if form is None or None in bodies or None in _typed("BIGINT", times):
        raise Unusual
    table, spec = form
    if table in shaped.tables:
        raise Unusual
    if table is not None:
        columns = ("id", "time", *spec)
        shaped.tables[table] = (columns, list(zip(ids, times, *_fields(spec, bodies), strict=True)))
        return
    for id, time, body in zip(ids, times, _typed(spec, bodies), strict=True):
        _SHAPES[kind](shaped, {"id": id, "time": time}, body)


def _defined(shaped: Shaped, at: Fields, body: Fields) -> None:
    asset = _there(body["asset"])
    shaped.add("facts.definitions", {**at, **body, **asset}, but=("asset",))
    shaped.pend(asset, defined=True)


def _observed(shaped: Shaped, at: Fields, body: Fields) -> None:
    shaped.add("facts.observations", {**at, **body, **_named(body["asset"])})
    shaped.pend(_there(body["asset"]), defined=None)


def _judged(shaped: Shaped, at: Fields, body: Fields) -> None:
    shaped.add("facts.verdicts", {**at, **body, **_named(body["asset"])})


def _checked(shaped: Shaped, at: Fields, body: Fields) -> None:
    for check in map(_there, body["checks"] or ()):
        told = {**at, **body, "published": True, **_named(body["asset"]), **check}
        shaped.add("facts.checks", told, but=("checks",))


def _ended(shaped: Shaped, at: Fields, body: Fields) -> None:
    started = _there(body["started"])
    evidence = body["evidence"] or dict.fromkeys(_EVIDENCE)
    outcome = {**at, **body, **started, **evidence, **_named(started["asset"])}
    for name in ("started", "evidence", *_PARTS):
        outcome.pop(name)
    shaped.add("facts.outcomes", outcome)
    key = (outcome["namespace"], outcome["dataset"], outcome["partition"])
    if key not in shaped.made:
        shaped.made[key] = []
        shaped.pend(outcome, defined=False)
    shaped.made[key].append(outcome)
    inputs = evidence["inputs"] if evidence["inputs"] is not None else started["inputs"]
    whose = {**at, "run_id": started["run_id"], "published": body["state"] == "published"}
    place = {name: outcome[name] for name in ("asset", *KEY)}
    target = {"target" if name == "asset" else f"target_{name}": value for name, value in place.items()}
    _inputs(shaped, {**whose, **target, "target_version": outcome["version"]}, inputs or ())
    for edge in _distinct(map(_there, evidence["column_edges"] or ())):
        told = {**whose, **target, **edge, "target_column": edge["column"], "source": edge["source_asset"]}
        shaped.add("facts.column_edges", told, but=("column", "source_asset"))
    for column in map(_there, evidence["unknown_columns"] or ()):
        shaped.add("facts.unknown_columns", {**whose, **place, **column})
    for check in map(_there, evidence["checks"] or ()):
        shaped.add("facts.checks", {**whose, **place, "version": outcome["version"], **check})


def _inputs(shaped: Shaped, whose: Fields, inputs: Iterable[Fields | None]) -> None:
    found: dict[Row, Fields] = {}
    for one in map(_there, inputs):
        row = {"source" if name == "asset" else f"source_{name}": one[name] for name in ("asset", *KEY, "version")}
        before = found.setdefault(tuple(row.values()), {**row, "via": one["via"]})
        before["via"] = min((via for via in (before["via"], one["via"]) if via is not None), default=None)
    for row in found.values():
        shaped.add("facts.inputs", {**whose, **row})


def _distinct(rows: Iterable[Fields]) -> Iterable[Fields]:
    return {tuple(row.values()): row for row in rows}.values()


def _named(asset: Fields | None) -> Fields:
    """An asset as columns, in which its name is called `asset`."""
    there = dict(_there(asset))
    return {"asset": there.pop("name"), **there}


def _there(value: Fields | None) -> Fields:
    if value is None:
        raise Unusual
    return value


def _fields(spec: dict[str, Spec], bodies: Sequence[Any]) -> Iterator[list[Any]]:
    """Each field of bodies as a column of its type; what a body does not name is None."""
    if set(map(type, bodies)) - {dict}:
        raise Unusual
    for name, inner in spec.items():
        yield _typed(inner, [body.get(name) for body in bodies])


def _typed(spec: Spec, values: list[Any]) -> list[Any]:
    """Values as json_transform would give them, when there is nothing to convert; raises Unusual else."""
    found = set(map(type, values)) - {type(None)}
    if not found:
        return values
    if spec == "JSON":
        return [None if value is None else _json(value) for value in values]
    if isinstance(spec, str):
        low, high, types = _SCALARS.get(spec, (0, 0, ()))
        if not found.issubset(types):
            raise Unusual
        if high and not all(low <= value <= high for value in values if value is not None):
            raise Unusual
        return values
    if found != {type(spec)}:
        raise Unusual
    there = [value for value in values if value is not None]
    if isinstance(spec, list):
        items = iter(_typed(spec[0], [item for value in there for item in value]))
        return [None if value is None else list(islice(items, len(value))) for value in values]
    structs = (dict(zip(spec, row, strict=True)) for row in zip(*_fields(spec, there), strict=True))
    return [None if value is None else next(structs) for value in values]


def _json(value: object) -> str:
    from orjson import dumps

    text = dumps(value).decode()
    if _OTHERWISE.search(text):
        raise Unusual
    return text


@functools.cache
def _form(kind: str) -> tuple[str | None, dict[str, Spec]] | None:
    """What the bodies of a kind hold, and the table whose columns are just that; None for those that only SQL takes apart."""
    from orjson import loads

    statement = statements("ingest.sql")[kind]
    flat = _FLAT.fullmatch(statement)
    if flat is not None:
        return flat[1], loads(flat[2])
    spec = _SPEC.search(statement)
    return (None, loads(spec[1])) if spec is not None and kind in _SHAPES else None


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SPEC = re.compile(r"json_transform\(body, '([^']*)'\)")
_FLAT = re.compile(
    rf"INSERT INTO (facts\.\w+) BY NAME\s+SELECT id, time, unnest\({_SPEC.pattern}\)\s+FROM staged WHERE kind = '[^']*';"
)
# What DuckDB writes in another way than it was written: control characters, and numbers with an exponent.
_OTHERWISE = re.compile(r"\\u|\de[-+]?\d+(?=[],}]|$)")
_SCALARS: Mapping[str, tuple[int, int, tuple[type, ...]]] = {
    "VARCHAR": (0, 0, (str,)),
    "BOOLEAN": (0, 0, (bool,)),
    "DOUBLE": (0, 0, (float,)),
    "INTEGER": (-(1 << 31), (1 << 31) - 1, (int,)),
    "BIGINT": (-(1 << 63), (1 << 63) - 1, (int,)),
}
KEY = ("namespace", "dataset", "partition")
_EVIDENCE = (
    *("version", "replaces", "rows", "bytes", "columns", "time_min", "time_max", "inputs", "unknown_inputs"),
    *("column_edges", "unknown_columns", "checks", "code_version", "sql"),
)
_PARTS = ("inputs", "column_edges", "unknown_columns", "checks")
_ATTEMPT = ("asset", "attempt_id", "attempt_at", "attempt_state", "attempt_error")
_MADE_OF = (
    *("id", "version", "time", "started_at", "run_id", "rows", "bytes", "time_max", "partition_start", "partition_end"),
    "code_version",
)
_MADE = (*("made_at" if name == "time" else name for name in _MADE_OF), "unknown_inputs")
_SHAPES: Mapping[str, Callable[[Shaped, Fields, Fields], None]] = {
    "asset.defined": _defined,
    "asset.observed": _observed,
    "freshness.judged": _judged,
    "asset.checked": _checked,
    "materialization.ended": _ended,
}
