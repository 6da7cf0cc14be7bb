"""`openlineage`: handing the journal's events to catalogs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.cli.common import COMMON, Common, open_project
from headwater.cli.output import emit
from headwater.errors import UsageError

if TYPE_CHECKING:
    from headwater.lineage.openlineage.exporter import ExportStatus


def export(*, to: Path | None = None, common: Common = COMMON) -> int:
    """Append the events that a destination has not got yet, as OpenLineage.

    Parameters
    ----------
    to
        A file of newline-delimited events; the configured one when it is left out.
    """
    project = open_project()
    configured = project.settings.openlineage_file
    if to is None and not configured:
        raise UsageError(
            "no destination is configured", hint="give --to FILE, or set openlineage_file in [tool.headwater]"
        )
    file = to.absolute() if to is not None else project.root / configured
    project.projection.refresh()
    count = project.exporter(file).drain(None)
    value = {"file": str(file), "exported": count}
    emit(value, common.json, lambda: f"{count:,} events appended to {file}")
    return 0


def status(*, common: Common = COMMON) -> int:
    """Show how far the configured destination is."""
    project = open_project()
    configured = project.settings.openlineage_file
    found = [project.exporter(project.root / configured).status()] if configured else []
    value = {"destinations": [_plain(one) for one in found]}
    emit(value, common.json, lambda: _text(value))
    return 0


def _plain(found: ExportStatus) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "at": None if found.at is None else clock.rfc3339(found.at)}


def _text(value: Mapping[str, Any]) -> str:
    lines = [
        f"{row['destination']}: {row['delivered']:,} delivered, {row['pending']:,} pending"
        for row in value["destinations"]
    ]
    return "\n".join(lines) or "no destination is configured"
