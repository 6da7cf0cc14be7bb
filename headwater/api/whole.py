"""All assets, judged together once: what pages about a few of them are answered from where there are many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from headwater.assets.board import Judged
from headwater.assets.freshness import Judge
from headwater.assets.partitions import PartitionsDefinition
from headwater.assets.staleness import Staleness, staleness
from headwater.assets.uncollected import uncollected

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.assets.facts import Facts


class Defined:
    """All definitions, and how the assets are divided: mostly in a few ways."""

    def __init__(self, definitions: Mapping[str, AssetDefinition]) -> None:
        self.definitions = definitions

    @cached_property
    def divisions(self) -> frozenset[PartitionsDefinition]:
        """How they are divided."""
        return frozenset(one.partitions for one in self.definitions.values() if one.partitions is not None)


class Whole:
    """The facts of all assets, how far the data of each reaches, and what is stale.

    What an asset is judged by may lie anywhere above it, so that to judge one alone takes nearly as long as to judge all.
    All of that is worked out here; then many threads may ask for one asset or another, and none waits.
    """

    def __init__(self, facts: Facts, as_of: int) -> None:
        self.facts, self.as_of = facts, as_of
        """As of when it is stale: see `reaching` for how long that holds."""
        self._judge = Judge(facts)
        with uncollected():
            for name in facts.definitions:
                self._judge.verdict(name, as_of)
            self.stale: Mapping[str, Staleness] = staleness(facts, as_of)

    def judged(self, names: Iterable[str], as_of: int, stale: Mapping[str, Staleness] | None = None) -> Judged:
        """The verdicts on these assets at a moment, with what is stale: now, unless it is given."""
        verdicts = {name: self._judge.verdict(name, as_of) for name in names}
        return Judged(verdicts, self.stale if stale is None else stale)


def reaching(divided: Iterable[PartitionsDefinition], as_of: int) -> tuple[int, ...]:
    """How many partitions there are at a moment: as long as there are no more, time alone makes nothing stale."""
    return tuple(len(one.all(as_of)) for one in divided)
