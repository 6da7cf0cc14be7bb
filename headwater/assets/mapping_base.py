"""What a mapping between partitions is, and how many of the partitions that it names must be there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, TypeAlias

from headwater.assets.intervals import Intervals
from headwater.assets.partitions import PartitionsDefinition, PartitionSet, TimePartitions
from headwater.errors import DefinitionError
from headwater.records import dataclass

Needs: TypeAlias = int | Literal["all", "any"]
"""How many of the partitions that a mapping names must be there: a number, all of them, or any."""


@dataclass(frozen=True, slots=True)
class PartitionMapping(ABC):
    """A relation between the partitions of an input (upstream) and those of the asset that reads it (downstream).

    Sets go through it both ways, as unions over their elements: a partition k is in `downstream(u)` exactly if
    `upstream({k})` meets u. `as_of` (microseconds) only says how far open-ended definitions reach where a mapping
    takes all of one; the default is now.
    """

    kind: ClassVar[str]

    usual: ClassVar[Literal["all", "any"]] = "all"
    """How many must be there when nothing is said."""

    fewest: ClassVar[int] = 0
    """How many must be there, unless a number is given, of an input that has none that is wanted."""

    needs: Needs | None = field(default=None, kw_only=True)
    """How many of the partitions upstream must be there: "all", "any" (one at least), or a number; None: as usual."""

    def __post_init__(self) -> None:
        if self.needs in (None, "all", "any") or (type(self.needs) is int and self.needs >= 0):
            return
        raise DefinitionError(
            f"needs={self.needs!r} does not say how many partitions must be there",
            hint='give "all", "any", or a whole number, 0 or more',
        )

    def enough(self, wanted: int) -> int:
        """How many must be there, of so many that are wanted.

        >>> from headwater.assets.mappings import AllMapping, SameMapping
        >>> SameMapping().enough(7), AllMapping().enough(7), SameMapping(needs=5).enough(7), SameMapping(needs="any").enough(0)
        (7, 1, 5, 0)
        >>> AllMapping().enough(0), AllMapping(needs=0).enough(0)
        (1, 0)

        Where all is usual a number asks for less than that, never for more: a window that is cut where the input begins wants
        what it has.

        >>> SameMapping(needs=5).enough(3), AllMapping(needs=5).enough(3)
        (3, 5)
        """
        needs = self.usual if self.needs is None else self.needs
        if isinstance(needs, int):
            return needs if self.usual == "any" else min(needs, max(wanted, self.fewest))
        return max(wanted if needs == "all" else min(wanted, 1), self.fewest)

    @property
    def only_past(self) -> bool:
        """Whether it reads nothing but partitions before the one that is made: then an asset may read itself."""
        return False

    @property
    def not_later(self) -> bool:
        """Whether it reads nothing that comes after the partition that is made, of an input that is divided alike."""
        return self.only_past

    @abstractmethod
    def upstream(
        self, downstream: PartitionSet, upstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions of the input that these partitions read, cut to those that the input has."""

    @abstractmethod
    def downstream(
        self, upstream: PartitionSet, downstream: PartitionsDefinition, *, as_of: int | None = None
    ) -> PartitionSet:
        """The partitions that read at least one of these partitions of the input."""

    @property
    def steps(self) -> tuple[int, int] | None:
        """From how many steps away to how many it reads, both included, of an input whose numbers mean the same times."""
        return None

    def windows(
        self,
        numbers: Sequence[int],
        downstream: PartitionsDefinition,
        upstream: PartitionsDefinition,
        *,
        as_of: int | None = None,
    ) -> list[Intervals]:
        """What each of these partitions of an asset reads by itself, as numbers of the input: `upstream` of one after another."""
        if self.steps is None or not isinstance(upstream, TimePartitions):
            alone = (downstream.clip([(number, number + 1)]) for number in numbers)
            return [self.upstream(one, upstream, as_of=as_of).intervals for one in alone]
        self.check(upstream, downstream)
        # Of tens of thousands it is much quicker so: in time all numbers lie side by side.
        first, last = self.steps
        low, high = upstream.bounds
        around = ((max(number + first, low), min(number + last + 1, high)) for number in numbers)
        return [(one,) if one[0] < one[1] else () for one in around]

    @abstractmethod
    def check(self, upstream: PartitionsDefinition, downstream: PartitionsDefinition) -> None:
        """Raise a DefinitionError when the mapping can't stand between these two."""

    @abstractmethod
    def describe(self) -> str:
        """The mapping in a few words."""

    def to_json(self) -> dict[str, Any]:
        """The mapping as JSON; `mapping_from_json` reads it back."""
        return {"type": self.kind, **({} if self.needs is None else {"needs": self.needs})}

    def _enough(self) -> str:
        if isinstance(self.needs, int):
            return f", at least {self.needs} of them"
        return "" if self.needs is None else f", {self.needs} of them"
