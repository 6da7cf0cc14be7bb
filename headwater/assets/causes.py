"""What makes partitions stale, kind by kind, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from headwater.assets.facts import NONE
from headwater.assets.partitions import PartitionSet
from headwater.types import Reason

CauseKind: TypeAlias = Literal["never_made", "code_changed", "input_updated", "upstream_stale"]


class Cause(NamedTuple):
    """One thing that makes partitions stale: what, which partitions, and the input concerned, if one is.

    `examples` gives, by partition, one partition of the input that the cause was seen at.
    """

    kind: CauseKind
    partitions: PartitionSet
    asset: str | None = None
    examples: Mapping[str | None, str | None] = NONE

    def reason(self) -> Reason:
        """The cause in a sentence, with the number of partitions and where they lie."""
        return Reason(self.kind, _GROUPED[self.kind].format(asset=self.asset, where=spread(self.partitions)))


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
    "code_changed": "its code changed since it was made{where}",
    "input_updated": "its input {asset} changed since it was made{where}",
    "upstream_stale": "its input {asset} is stale itself{where}",
}
