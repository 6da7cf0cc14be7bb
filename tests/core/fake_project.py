"""A project that keeps what is journaled in a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headwater.core.journal.events import Body
from headwater.core.journal.memory import MemoryCarrier


class FakeProject:
    """A project whose journal is a list."""

    project = "shop"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = self
        self.bodies: list[Body] = []
        self.runs_ended = 0
        self.limits: dict[str, int] = {}
        self.locks = MemoryCarrier().locks

    def append(self, *bodies: Body) -> None:
        self.bodies.extend(bodies)

    def run_ended(self) -> None:
        self.runs_ended += 1

    def all(self, kind: str, **members: Any) -> list[Any]:
        return [
            body
            for body in self.bodies
            if body.kind == kind and all(getattr(body, name) == value for name, value in members.items())
        ]

    def one(self, kind: str, **members: Any) -> Any:
        found = self.all(kind, **members)
        assert len(found) == 1, self.bodies
        return found[0]

    def states(self) -> dict[str, list[str]]:
        """The states in which task runs ended, by task."""
        found: dict[str, list[str]] = {}
        for body in self.all("task.ended"):
            found.setdefault(body.task, []).append(body.state)
        return found
