from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headwater.assets.location import asset_ref
from headwater.assets.partitions import DailyPartitions, Partition
from headwater.assets.protocols import Staged, Target
from headwater.ids import new_id
from headwater.materializers.registry import for_ref

MakeTarget = Callable[..., Target]
Materialize = Callable[..., Staged]


@pytest.fixture
def at(tmp_path: Path) -> MakeTarget:
    """Targets below a root of their own, by URI."""

    def make(uri: str, **more: Any) -> Target:
        return Target(asset=asset_ref("thing", uri, root=tmp_path), root=tmp_path, **more)

    return make


@pytest.fixture
def days() -> DailyPartitions:
    return DailyPartitions("2013-01-01", "2014-01-01", timezone="America/New_York")


@pytest.fixture
def make() -> Materialize:
    """Stage and publish at once."""

    def run(target: Target, value: Any, partition: Partition | None = None, version: str | None = None) -> Staged:
        materializer = for_ref(target.asset)
        staged = materializer.stage(target, partition, value, version=version or new_id())
        materializer.publish(target, partition, staged)
        return staged

    return run


@pytest.fixture
def hidden(tmp_path: Path) -> Callable[[], list[str]]:
    """What staging has left below the root."""
    return lambda: sorted(path.name for path in tmp_path.rglob(".staging-*"))
