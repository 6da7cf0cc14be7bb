"""Small definitions of assets for the tests of partitions, mappings and selections, and names that mean harm."""

from collections.abc import Iterable

from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetRef
from headwater.assets.mappings import infer_mapping
from headwater.assets.partitions import PartitionsDefinition

HOSTILE = [
    "",
    " ",
    "2013-01-05'",
    "2013-01-05'; DROP TABLE runs; --",
    '2013-01-05"',
    "../2013-01-05",
    "2013-01-05/../..",
    "2013-01-05\0",
    "2013-01-05\n",
    "\n2013-01-05",
    "2013\n-01-05",
    "\u202e2013-01-05",
    "\uff12\uff10\uff11\uff13-01-05",
    "2013-0\u0661-05",
    "2013-01-0\U0001d7d3",
    "e\u0301",
    "\u00e9",
    "\ud800",
    "x" * 10_000,
    "2013-01-05" * 1000,
    "{{7*7}}",
    "-rf",
    "2013-1-5",
    "20130105",
    "2013-W01-6",
    "2013-005",
    "2013-02-30",
    "2013-13-01",
    "0000-01-01",
    "9999-12-31",
    "-2013-01-05",
    "+013-01-05",
    "2013-01-05T00",
    "2013-01-05T00:00:00",
    "2013-01",
    "None",
    "unpartitioned",
]


def defined(
    name: str,
    inputs: Iterable[str] = (),
    *,
    kind: str = "parquet",
    tags: dict[str, str] | None = None,
    owners: tuple[str, ...] = (),
    group: str | None = None,
    partitions: PartitionsDefinition | None = None,
) -> AssetDefinition:
    """An asset of that name that reads these."""
    ref = AssetRef(name=name, uri=f"{kind}://x", kind=kind, namespace="file", dataset=f"/{name}")
    read = tuple(
        InputDefinition(parameter=f"p{n}", asset=asset, mapping=infer_mapping(None, None))
        for n, asset in enumerate(inputs)
    )
    return AssetDefinition(ref=ref, inputs=read, tags=tags or {}, owners=owners, group=group, partitions=partitions)
