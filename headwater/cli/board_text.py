"""The board as text: what it comes to in a line, then a row an asset, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headwater.cli import terminal
from headwater.cli.output import ago, duration, instant
from headwater.cli.tables import Cell, table
from headwater.cli.terminal import coloured
from headwater.wording import counted

SHAPES = {"fresh": "● fresh", "warn": "▲ warn", "late": "✖ late", "unknown": "? unknown", "none": "· none"}
"""A verdict with its shape: what a colour says must also be seen without it."""

_PAINT = {"fresh": "green", "warn": "yellow", "late": "red", "unknown": "yellow", "none": "dim"}
_COLOURS = {SHAPES[verdict]: colour for verdict, colour in _PAINT.items()}
_AROUND = 8
"""Lines of a screen that are not rows: the totals, the headers, the blank ones, what is left out, and the next prompt."""
_AT_LEAST = 5

Row = Mapping[str, Any]


def status_text(value: Mapping[str, Any], *, every: bool) -> str:
    """The board of `status --json` for people; on a terminal the worst rows that fit, unless `every` one is asked for."""
    rows = sorted(value["assets"], key=_how_bad)
    shown = rows if every else _fitting(rows)
    headers = ("asset", "freshness", "lag", "stale", "partitions", "rows", "made", "data through", "why")
    cells = [_cells(row, value["as_of"]) for row in shown]
    spare = ("data through", "rows", "made", "lag", "partitions")
    text = table(headers, cells, numbers=("lag", "partitions", "rows", "made"), spare=spare, colours=_COLOURS)
    return "\n".join([_totals(rows, value["as_of"]), "", text, *_left_out(rows[len(shown) :])])


def counts_text(value: Mapping[str, Any]) -> str:
    """The counts of `status --count --json` for people."""
    counts = [f"{count:,} {SHAPES[verdict]}" for verdict, count in value["verdicts"].items() if count]
    assets = counted(value["assets"], "asset")
    return f"{assets}: {', '.join(counts)}; {value['stale']:,} stale" if counts else assets


def freshness_text(value: Mapping[str, Any], *, every: bool) -> str:
    """The verdicts of `freshness --json` for people, in the same way."""
    headers = ("asset", "freshness", "lag", "basis", "data through", "witness")
    rows = sorted(value["assets"], key=_how_bad)
    shown = rows if every else _fitting(rows)
    cells: list[Sequence[Cell]] = [
        (
            row["name"],
            SHAPES[row["freshness"]["verdict"]],
            duration(row["freshness"]["lag"]),
            row["basis"],
            instant(row["data_through"]),
            " ← ".join(row["freshness"]["witness"]) or None,
        )
        for row in shown
    ]
    text = table(headers, cells, numbers=("lag",), spare=("basis", "data through"), colours=_COLOURS)
    return "\n".join([_totals(rows, value["as_of"]), "", text, *_left_out(rows[len(shown) :])])


def groups_text(value: Mapping[str, Any]) -> str:
    """The groups of `status --by … --json` for people."""
    verdicts = ("late", "warn", "unknown", "fresh", "none")
    headers = (value["by"], "assets", *(SHAPES[one] for one in verdicts), "stale", "failed")
    cells: list[Sequence[Cell]] = [
        (
            row["group"],
            f"{row['assets']:,}",
            *(f"{row['verdicts'][one]:,}" if row["verdicts"][one] else None for one in verdicts),
            f"{row['stale']:,}" if row["stale"] else None,
            f"{row['failed']:,}" if row["failed"] else None,
        )
        for row in value["groups"]
    ]
    return table(headers, cells, numbers=headers[1:])


def partitions_text(value: Mapping[str, Any]) -> str:
    """The partitions of `freshness --partitions --json` for people."""
    headers = ("asset", "partition", "freshness", "data through", "changes", "why")
    cells: list[Sequence[Cell]] = [
        (
            row["asset"],
            row["partition"],
            SHAPES[row["verdict"]],
            instant(row["data_through"]),
            instant(row["next_change"]),
            row["reason"],
        )
        for row in value["partitions"]
    ]
    text = table(headers, cells, spare=("changes", "data through"), colours=_COLOURS)
    more = value["more"]
    return text + (f"\n\nand {more:,} more: --limit shows them" if more else "")


def history_text(value: Mapping[str, Any]) -> str:
    """The changes of `freshness --history --json` for people."""
    headers = ("at", "asset", "freshness", "before", "clock", "stood at")
    cells: list[Sequence[Cell]] = [
        (
            instant(row["at"]),
            row["asset"],
            SHAPES[row["verdict"]],
            row["before"] and SHAPES[row["before"]],
            row["clock"],
            instant(row["stands"]),
        )
        for row in value["changes"]
    ]
    return table(headers, cells, spare=("clock", "stood at"), colours=_COLOURS)


def _how_bad(row: Row) -> tuple[int, str]:
    verdict = row["freshness"]["verdict"]
    if verdict in ("late", "warn", "unknown"):
        return ("late", "warn", "unknown").index(verdict), row["name"]
    if _failed(row):
        return 3, row["name"]
    return 4 if _is_stale(row) else 5 if verdict == "fresh" else 6, row["name"]


def _is_stale(row: Row) -> bool:
    return "stale" in row and row["stale"]["is_stale"]


def _failed(row: Row) -> int:
    return row["partitions"]["failed"] if row.get("partitions") else len(row.get("refused", ()))


def _fitting(rows: Sequence[Row]) -> Sequence[Row]:
    size = terminal.size()
    if size is None or len(rows) <= max(size.lines - _AROUND + 3, _AT_LEAST):
        return rows
    return rows[: max(size.lines - _AROUND, _AT_LEAST)]


def _left_out(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    return ["", f"and {len(rows):,} more: {_verdicts(rows)}", "--all shows every one, a selection shows fewer"]


def _totals(rows: Sequence[Row], as_of: str) -> str:
    count = counted(len(rows), "asset")
    stale = sum(1 for row in rows if _is_stale(row))
    failed = sum(1 for row in rows if _failed(row))
    also = ", ".join([f"{stale:,} stale"] * bool(stale) + [f"{failed:,} with failures"] * bool(failed))
    totals = f"{coloured(count, 'bold')}: {_verdicts(rows, paint=True)}" + (f"; {also}" if also else "")
    return totals + "\n" + coloured(f"as of {instant(as_of)}", "dim")


def _verdicts(rows: Iterable[Row], *, paint: bool = False) -> str:
    counts = Counter(row["freshness"]["verdict"] for row in rows)
    parts = []
    for verdict in ("late", "warn", "unknown", "fresh", "none"):
        if counts[verdict]:
            text = f"{counts[verdict]:,} {'without policy' if verdict == 'none' else verdict}"
            parts.append(coloured(text, _PAINT[verdict]) if paint else text)
    return ", ".join(parts)


def _cells(row: Row, as_of: str) -> tuple[Cell, ...]:
    return (
        row["name"],
        SHAPES[row["freshness"]["verdict"]],
        duration(row["freshness"]["lag"]),
        _stale(row),
        _partitions(row["partitions"]),
        None if row["rows"] is None else f"{row['rows']:,}",
        ago(row["last_materialized"], as_of),
        instant(row["data_through"]),
        _why(row),
    )


def _partitions(found: Mapping[str, int] | None) -> str | None:
    if found is None:
        return None
    failed = f", {found['failed']:,} failed" if found["failed"] else ""
    return f"{found['materialized']:,}/{found['total']:,}{failed}"


def _stale(row: Row) -> str:
    found = row["stale"]
    if not found["is_stale"]:
        return "no"
    return "yes" if row["partitions"] is None else f"{found['partitions']:,}"


def _why(row: Row) -> str | None:
    reasons = []
    never_made = row["last_materialized"] is None and row["stale"]["is_stale"]
    if row["freshness"]["verdict"] in ("late", "warn", "unknown") and not never_made:
        witness = " ← ".join(row["freshness"]["witness"][1:])
        reasons.append(row["freshness"]["reason"] + (f" (held back by {witness})" if witness else ""))
    reasons += _refused(row)
    if row["stale"]["is_stale"] and row["stale"]["reasons"]:
        reasons.append(row["stale"]["reasons"][0]["text"])
    return "; ".join(reasons) or None


def _refused(row: Row) -> list[str]:
    """The newest attempt that put nothing in place, and the first check that what is in place does not pass."""
    found = []
    if row.get("refused"):
        last = row["refused"][0]
        message = (last["message"] or "no message").splitlines()[0]
        of = "" if last["partition"] is None else f"{last['partition']} "
        kept = ", what was there before is still in place" if last["kept"] else ""
        found.append(f"{of}{last['state']}{kept}: {message}")
    if row.get("failed_checks"):
        one = row["failed_checks"][0]
        of = "" if one["partition"] is None else f"{one['partition']}: "
        more = f" (and {len(row['failed_checks']) - 1} more)" if len(row["failed_checks"]) > 1 else ""
        found.append(f"{of}'{one['name']}' failed{more}" + (f": {one['message']}" if one["message"] else ""))
    return found
