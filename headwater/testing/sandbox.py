"""A project for one test: what the fixture `headwater` is, for whoever does not use pytest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from headwater import clock, settings
from headwater.assets import registry
from headwater.assets.asset import Asset
from headwater.assets.materialize import Materialization
from headwater.assets.partitions import Partition
from headwater.assets.protocols import Form
from headwater.core.definition import Definition
from headwater.errors import UnknownNameError
from headwater.materializers import memory
from headwater.project import Project
from headwater.records import dataclass
from headwater.testing import FakeClock, project

Made = Materialization[Any, Any] | Asset


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A project in which a test runs flows and makes assets, and looks at what came of it.

    Whatever place an asset has, its data is kept in memory, so nothing outside is read or overwritten. Time stands still:
    `clock.sleep` moves it on, and so does every wait of Headwater's own.

    >>> from headwater import Asset, flow, materialize
    >>> with sandbox() as headwater:
    ...     orders = Asset("orders", at="parquet://lake/orders")
    ...     @materialize(orders)
    ...     def make_orders():
    ...         return [{"id": 1}, {"id": 2}]
    ...     _ = headwater.make(make_orders)
    ...     headwater.load(orders).height, headwater.states()
    (2, ['Completed'])
    """

    project: Project
    clock: FakeClock

    def make(self, made: Materialization[Any, Any], *args: Any, partition: Any = None, **kwargs: Any) -> Any:
        """Materialize, for a partition if it has any; returns what the call returns and raises what it raises."""
        task = made if partition is None else made.at(partition)
        return task(*args, **kwargs)

    def put(self, made: Made, value: Any, *, partition: Partition | str | date | None = None) -> None:
        """Let a value be the data of an asset, as if something had made it: what a test begins from.

        Raises ReturnTypeError and PartitionError as a materialization would.
        """
        from headwater.assets.observing import materializing

        asset = _asset(made)
        with materializing(asset, partition=partition) as output:
            output.write(value)

    def load(self, made: Made, *, partition: Partition | str | date | None = None, form: Form = "eager") -> Any:
        """The data of an asset, or of one of its partitions: a polars.DataFrame unless another form is asked for.

        Raises LocationError when nobody has made it, and PartitionError as `put` does.
        """
        from headwater.assets.observing import given_partition

        asset = _asset(made)
        target = self.project.definitions.target(asset)
        part = None if partition is None else given_partition(asset, partition)
        return self.project.materializer(target.asset).load(target, None if part is None else (part,), form)

    def states(self, flow: Definition[..., Any] | str | None = None) -> list[str]:
        """The states of the runs so far (of one flow, or of its name), the oldest first."""
        if not isinstance(flow, Definition):
            return [run["state"] for run in self._runs(flow)]
        try:
            return [run["state"] for run in self._runs(flow.name)]
        except UnknownNameError:
            # A flow that is at hand exists: it has not run.
            return []

    def logs(self) -> list[str]:
        """What the runs so far logged and printed, the oldest first."""
        return [row["message"] for run in self._runs() for row in self.project.reader.logs(run["id"])["logs"]]

    def _runs(self, flow: str | None = None) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.project.reader.runs(flow=flow, limit=sys.maxsize)["runs"]
        return runs[::-1]


def _asset(made: Made) -> Asset:
    return made if isinstance(made, Asset) else made.assets[0]


@contextmanager
def sandbox(*, now: int | None = None, folder: Path | None = None) -> Iterator[Sandbox]:
    """A sandbox for a `with` block; its clock stands at `now` (microseconds since the epoch), by default at this moment.

    What was defined before is known in it; what is defined in it is forgotten after. The names in locations and the limits
    are those of the project that `folder` lies in, by default the current one.
    """
    fake = FakeClock(clock.now_us() if now is None else now)
    before = registry.current()
    # As in `testing.project`, the environment of whoever runs the tests says nothing.
    around = settings.load(folder, environ={})
    with project(clock=fake, in_memory=True, like=around) as found:
        registry.current().update(before)
        try:
            yield Sandbox(project=found, clock=fake)
        finally:
            memory.forget(found.root)
