"""`limits`: how many slots there are, who holds them, and how many wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit
from headwater.cli.tables import table
from headwater.core import in_use


def limits(*, common: Common = COMMON) -> int:
    """Show each limit with its slots, who holds them and how many wait: those of the settings, and those in use.

    A slot is shown as held only while the process that took it lives. Rates show how many calls of the last stretch of time
    count.
    """
    project = open_project(None)
    value = in_use.limits(project.locks, project.limits, project.home.path)
    emit(value, common.json, lambda: _text(value))
    return 0


def _text(value: Mapping[str, Any]) -> str:
    rows = [
        (one["name"], one["kind"], f"{len(one['held'])} of {one['slots']}", str(one["waiting"]), _people(one["held"]))
        for one in value["limits"]
    ]
    rows += [
        (one["name"], "rate", f"{one['used']} of {one['rate']}", str(one["waiting"]), None) for one in value["rates"]
    ]
    if not rows:
        return "no limits: none stands in the settings, and nobody holds one"
    return table(("limit", "kind", "held", "waiting", "by"), rows, numbers=("waiting",), spare=("by",))


def _people(held: Sequence[Mapping[str, Any]]) -> str | None:
    return "; ".join(map(_person, held)) or None


def _person(one: Mapping[str, Any]) -> str:
    what = one["task"] or one["flow"]
    return f"process {one['pid']}" if what is None else f"{what} (run {one['run']}, process {one['pid']})"
