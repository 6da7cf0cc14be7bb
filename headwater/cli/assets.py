"""`assets`: what is defined, as it stands in the code: places, partitions, inputs, owners, and who makes what."""

from __future__ import annotations

from typing import Any

from headwater import clock
from headwater.assets.definitions import AssetDefinition
from headwater.cli.board import chosen, facts_for, no_assets
from headwater.cli.common import open_project
from headwater.cli.history import error_line
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where, check_limit
from headwater.cli.output import ago, emit, instant, size_of
from headwater.cli.tables import Cell, table
from headwater.errors import UsageError


def assets(
    selection: Selection = "*",
    /,
    *,
    history: Flag = False,
    limit: int | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the definitions of assets, inputs before what reads them; of a single asset everything that it says.

    What is new among them is recorded, so that it can be asked for through a server before it was ever made.

    Parameters
    ----------
    selection
        Which assets; see `headwater status --help`.
    history
        Of one asset all that was tried to make it, the newest first: when, what came of it, its version and its run.
    limit
        With --history at most so many rows; 50 if it is left out.
    """
    if history:
        return _history(selection, 50 if limit is None else limit, common, where)
    if limit is not None:
        raise UsageError("--limit is for --history", hint="a selection shows fewer assets")
    project = open_project(where, keeps=True)
    # A server loads no code: what it can be asked for is what stands in the journal.
    with project.recorded():
        facts = facts_for(project.catalog, selection)
        names = chosen(facts, selection, clock.now_us())
    rows = [_row(facts.definitions[name]) for name in names]
    emit({"assets": rows}, common.json, lambda: _text(rows, whole=selection in names) if rows else no_assets(facts))
    return 0


def _history(name: str, limit: int, common: Common, where: Where) -> int:
    check_limit(limit, "rows")
    value = open_project(where).reader.materializations(name, limit=limit)
    rows, none = value["materializations"], f"nothing tried to make {name} yet"
    emit(value, common.json, lambda: _history_text(rows) if rows else none)
    return 0


def _history_text(rows: list[dict[str, Any]]) -> str:
    now = clock.rfc3339(clock.now_us())
    cells: list[tuple[Cell, ...]] = [
        (
            instant(row["at"]),
            ago(row["at"], now),
            row["partition"],
            row["state"],
            row["rows"],
            size_of(row["bytes"]),
            row["version"],
            row["run"],
            error_line(row["error"]),
        )
        for row in rows
    ]
    headers = ("at", "", "partition", "state", "rows", "size", "version", "run", "error")
    return table(headers, cells, numbers=("", "rows", "size"), spare=("", "size", "version", "rows", "error"))


def _row(one: AssetDefinition) -> dict[str, Any]:
    source = one.source
    return {
        "name": one.name,
        "kind": one.ref.kind,
        "location": one.ref.uri,
        "namespace": one.ref.namespace,
        "dataset": one.ref.dataset,
        "is_source": one.is_source,
        "static": one.static,
        "retired": one.retired,
        "renamed_from": one.renamed_from,
        "group": one.group,
        "owners": list(one.owners),
        "tags": dict(one.tags),
        "description": one.description,
        "partitions": None if one.partitions is None else one.partitions.describe(),
        "time_column": one.time_column,
        "freshness": None if one.freshness is None else one.freshness.describe(),
        "inputs": [
            {"asset": used.asset, "parameter": used.parameter, "mapping": used.mapping.describe()}
            for used in one.inputs
        ],
        "checks": list(one.checks),
        "code": None if source is None else {"file": source.file, "line": source.line, "name": source.name},
    }


def _text(rows: list[dict[str, Any]], *, whole: bool) -> str:
    if whole:
        return "\n\n".join(map(_all_of, rows))
    headers = ("asset", "kind", "group", "owners", "tags", "partitions", "reads", "made by", "location")
    cells: list[tuple[Cell, ...]] = [
        (
            row["name"],
            row["kind"],
            row["group"],
            ", ".join(row["owners"]) or None,
            _tags(row),
            row["partitions"],
            ", ".join(dict.fromkeys(used["asset"] for used in row["inputs"])) or None,
            _code(row),
            row["location"],
        )
        for row in rows
    ]
    return table(headers, cells, spare=("tags", "group", "kind", "owners", "partitions", "made by"))


def _all_of(row: dict[str, Any]) -> str:
    """Everything that one definition says, a line for each thing; what it does not say is left out."""
    told: list[tuple[str, Cell]] = [
        ("asset", row["name"] + (" (retired)" if row["retired"] else "")),
        ("description", row["description"]),
        ("kind", row["kind"] + (", a source" if row["is_source"] else "") + (", static" if row["static"] else "")),
        ("location", row["location"]),
        ("renamed from", row["renamed_from"]),
        ("group", row["group"]),
        ("owners", ", ".join(row["owners"])),
        ("tags", _tags(row)),
        ("partitions", row["partitions"]),
        ("time column", row["time_column"]),
        ("freshness", row["freshness"]),
        *(("reads", f"{used['asset']} (as '{used['parameter']}'): {used['mapping']}") for used in row["inputs"]),
        *(("check", check) for check in row["checks"]),
        ("made by", _code(row)),
    ]
    return table(("definition", "is"), [one for one in told if one[1]])


def _tags(row: dict[str, Any]) -> str | None:
    return ", ".join(f"{key}={value}" for key, value in row["tags"].items()) or None


def _code(row: dict[str, Any]) -> str | None:
    code = row["code"]
    return None if code is None else f"{code['name']} ({code['file']}:{code['line']})"
