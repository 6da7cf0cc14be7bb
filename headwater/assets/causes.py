"""What makes partitions stale, kind by kind, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from headwater.assets.divided import Divided
from headwater.assets.facts import NONE
from headwater.assets.partitions import PartitionSet
from headwater.types import Reason

CauseKind: TypeAlias = Literal["never_made", "code_changed", "input_updated", "upstream_stale"]
Examples: TypeAlias = Mapping[str | None, str | None]
"""By partition: a partition of an input."""
Seen: TypeAlias = Mapping[str, Examples]
"""The same by input asset."""


class Cause(NamedTuple):
    """One thing that makes partitions stale: what, which partitions, and the input concerned, if one is.

    `examples` gives, by partition, one partition of the input that the cause was seen at.
    """

    kind: CauseKind
    partitions: PartitionSet
    asset: str | None = None
    examples: Examples = NONE

    def reason(self, since: str = "made") -> Reason:
        """The cause in a sentence, with the number of partitions and where they lie; `since` they were made, or left out."""
        where = spread(self.partitions)
        return Reason(self.kind, _GROUPED[self.kind].format(asset=self.asset, where=where, since=since))


def add_causes(
    causes: list[Cause], kind: CauseKind, seen: Seen, where: Mapping[str, PartitionSet], divided: Divided
) -> None:
    """Add a cause for each input, of what was seen of it and of where else it counts."""
    for asset in sorted({*seen, *where}) if where else sorted(seen) if len(seen) > 1 else seen:
        examples = seen.get(asset, NONE)
        partitions = divided.set_of(tuple(examples))
        if asset in where and where[asset].shape != partitions.shape:
            partitions = partitions | where[asset]
        if partitions:
            causes.append(Cause(kind, partitions, asset, examples))


def spread(partitions: PartitionSet) -> str:
    """Which partitions, to be put behind a sentence; nothing for an asset without partitions.

    >>> from headwater.assets.partitions import DailyPartitions
    >>> spread(DailyPartitions("2013-01-01").parse("2013-01-05..2013-01-07"))
    ' (3 partitions: 2013-01-05..2013-01-07)'
    """
    if partitions.first.key is None:
        return ""
    begun = partitions.stretches(_SHOWN)
    shown, more = str(begun), ", …" if begun != partitions else ""
    count = len(partitions)
    return f" ({count} partition{'s' if count > 1 else ''}: {shown}{more})"


_SHOWN = 3

_GROUPED: dict[CauseKind, str] = {
    "never_made": "it was never made{where}",
    "code_changed": "its code changed since it was {since}{where}",
    "input_updated": "its input {asset} changed since it was {since}{where}",
    "upstream_stale": "its input {asset} is stale itself{where}",
}
