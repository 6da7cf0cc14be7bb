"""`backfill show` as text: how far each asset is, a grid of its partitions, and what went wrong with which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headwater.assets.backfill import keys_then
from headwater.assets.data_through import label
from headwater.cli.output import instant
from headwater.cli.tables import table

_MOST = 20_000
"""Of an asset with more partitions no grid is drawn."""
_WIDTH = 60
_NAMED = 12
_SIGNS = {"failed": "✗", "blocked": "!", "running": "▶", None: "·", "skipped": "-", "completed": "█"}
"""By outcome, the worst first: a sign that stands for several partitions is that of the worst among them."""
_COUNTED = ("completed", "running", "failed", "blocked", "skipped")


def backfill_text(value: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """A backfill as `Reader.backfill` tells it, with the plan that was requested."""
    counts = value["partitions"]
    lines = [
        f"{value['id']}  {value['state']}",
        f"assets: {', '.join(value['assets'])}   range: {value['range'] or '-'}",
        ", ".join(f"{count:,} {state}" for state, count in counts.items()),
    ]
    if value.get("started"):
        lines.append(f"started {instant(value['started'])}")
    by_asset: dict[str, dict[str | None, Mapping[str, Any]]] = {}
    # What ran when its process was stopped has no outcome yet: it is to be done.
    for one in (one for one in value["outcomes"] if one["state"] != "interrupted"):
        by_asset.setdefault(one["asset"], {})[one["partition"]] = one
    found = [(step["asset"], list(keys_then(step, _MOST)), by_asset.get(step["asset"], {})) for step in plan["steps"]]
    if found:
        lines += ["", _table(found)]
    grids = [line for name, keys, outcomes in found if len(keys) > 1 for line in _grid(name, keys, outcomes)]
    if grids:
        legend = "   ".join(f"{sign} {'to do' if state is None else state}" for state, sign in _SIGNS.items())
        lines += ["", *grids, "", legend]
    return "\n".join([*lines, *_reasons(value["outcomes"])])


def _table(found: Sequence[tuple[str, list[str | None], Mapping[str | None, Mapping[str, Any]]]]) -> str:
    rows = []
    for name, keys, outcomes in found:
        states = Counter(one["state"] for one in outcomes.values())
        planned = f"{len(keys):,}" if keys else "-"
        rows.append((name, planned, *(f"{states[state]:,}" if states[state] else None for state in _COUNTED)))
    headers = ("asset", "planned", *_COUNTED)
    return table(headers, rows, numbers=headers[1:], spare=("skipped", "blocked", "running"))


def _grid(name: str, keys: Sequence[str | None], outcomes: Mapping[str | None, Mapping[str, Any]]) -> Iterator[str]:
    """A line of signs from the first partition to the last; of many, each sign stands for several."""
    signs = list(_SIGNS)
    each = -(-len(keys) // _WIDTH)
    text = "".join(
        _SIGNS[
            min((outcomes[key]["state"] if key in outcomes else None for key in keys[at : at + each]), key=signs.index)
        ]
        for at in range(0, len(keys), each)
    )
    yield f"{name}  {keys[0]} … {keys[-1]}" + (f"   ({each} each)" if each > 1 else "")
    yield f"  {text}"


def _reasons(outcomes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What failed and was blocked or skipped, and why; of many, the first."""
    bad = [one for one in outcomes if one["state"] in ("failed", "blocked", "skipped") and one["reason"]]
    bad.sort(key=lambda one: ("failed", "blocked", "skipped").index(one["state"]))
    if bad:
        yield ""
    for one in bad[:_NAMED]:
        yield f"{one['state']}  {label(one['asset'], one['partition'])}: {one['reason'].splitlines()[0]}"
    if len(bad) > _NAMED:
        yield f"and {len(bad) - _NAMED:,} more: --json has them all"
