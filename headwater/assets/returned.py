"""Keys that were removed from a dynamic list and added again: what was made of them counts again, and is old.

When they came back says whether what reads their partitions was made before that, and lacks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from headwater.assets.partitions import DynamicPartitions, PartitionsDefinition, dimensions

Returned: TypeAlias = Mapping[str, Mapping[str, int]]
"""By the name of a list: when each key of it that had been removed was added again, in microseconds since the epoch."""


def returned_at(returned: Returned, partitions: PartitionsDefinition | None, key: str | None) -> int:
    """When a partition came back with its key; 0 for one that was there all the time.

    >>> returned_at({"customers": {"acme": 7}}, DynamicPartitions("customers"), "acme")
    7
    """
    lists = _lists(returned, partitions)
    if partitions is None or key is None or not lists:
        return 0
    if None in lists:
        return lists[None].get(key, 0)
    found = partitions.partition(key).dimensions
    return max(keys.get(str(found[name].key), 0) for name, keys in lists.items() if name is not None)


def last_return(returned: Returned, partitions: PartitionsDefinition | None) -> int:
    """When the last one of its partitions came back; 0 where none did."""
    return max((max(keys.values()) for keys in _lists(returned, partitions).values()), default=0)


def _lists(returned: Returned, partitions: PartitionsDefinition | None) -> dict[str | None, Mapping[str, int]]:
    """The keys that came back, by the dimension that they are of."""
    if partitions is None or not returned:
        return {}
    return {
        name or None: keys
        for name, divided in dimensions(partitions).items()
        if isinstance(divided, DynamicPartitions) and (keys := returned.get(divided.name))
    }
