"""Kept results and lineage: a value that comes back from the cache is still known as the data of its asset versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from headwater.assets import reading
from headwater.assets.events import InputVersion
from headwater.assets.scope import tracker
from headwater.core.journal.events import from_plain

if TYPE_CHECKING:
    from headwater.assets.runtime import AssetRuntime
    from headwater.core.context import RunContext


def sources_of(context: RunContext, value: Any) -> list[dict[str, Any]]:
    """The asset versions that stand behind a value, as plain values to be kept with it."""
    return [asdict(source) for source in tracker(context).sources_of(value)]


def remember(run: AssetRuntime, context: RunContext, value: Any, sources: Sequence[dict[str, Any]]) -> Any:
    """Follow a value that was kept with these sources; returns what to hand out, as `reading.remember` does."""
    known = tuple(from_plain(InputVersion, source) for source in sources)
    return reading.remember(run, tracker(context), value, known)
