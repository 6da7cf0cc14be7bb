"""The shapes of answers about lineage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headwater.api.models.base import TIME, Answer, example


class Node(Answer):
    """An asset or a column."""

    id: str
    kind: Literal["asset", "column"]
    name: str


class Edge(Answer):
    """That `to` is made of `from`."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    origin: str
    runs: int
    last_seen: str | None = None


class Lineage(Answer):
    """The graph around an asset or a column; of everything when `root` is null. `truncated` says that it was too large."""

    model_config = example(
        root="delays",
        nodes=[
            {"id": "delays", "kind": "asset", "name": "delays"},
            {"id": "flights", "kind": "asset", "name": "flights"},
        ],
        edges=[{"from": "flights", "to": "delays", "origin": "observed", "runs": 3, "last_seen": TIME}],
        truncated=False,
    )
    root: str | None = None
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = False


class DriftEdge(Answer):
    """An edge that only one side knows."""

    source: str | None = Field(default=None, alias="from")
    target: str | None = Field(default=None, alias="to")


class Drift(Answer):
    """Where definitions and runs disagree."""

    declared_only: list[DriftEdge]
    observed_only: list[DriftEdge]
