"""Small values that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from headwater.records import dataclass

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision fell as it did: a kind from a closed list, a sentence, and the reasons behind it.

    >>> why = Reason("upstream_stale", "flights is stale", (Reason("code_changed", "ingest_flights changed"),))
    >>> print(why.tree())
    flights is stale
      ingest_flights changed
    >>> why.to_json()["because"][0]["kind"]
    'code_changed'
    """

    kind: str
    text: str
    because: tuple[Reason, ...] = ()

    def tree(self, indent: str = "") -> str:
        """The reason and what stands behind it, a line each, indented by two spaces a level."""
        return "\n".join([indent + self.text, *(reason.tree(indent + "  ") for reason in self.because)])

    def to_json(self) -> dict[str, Any]:
        """The shape that `explain --json` prints: kind, text, because."""
        return {"kind": self.kind, "text": self.text, "because": [reason.to_json() for reason in self.because]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """An exception as it stands in the journal: its type, its message and its traceback as text."""

    type: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCode:
    """Where a function is defined (file relative to the project's root where it lies in it) and a hash of its source."""

    file: str
    line: int
    name: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterRun:
    """The run of another orchestrator that started a process, and the outermost run around that, as OpenLineage names them."""

    namespace: str
    job: str
    run_id: str
    root_namespace: str
    root_job: str
    root_run_id: str
