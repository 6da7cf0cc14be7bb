"""One schema for the partitions of an asset, which may differ as far as no value becomes another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.assets.protocols import Target
from headwater.errors import MaterializationError
from headwater.materializers.convert import instance_of

if TYPE_CHECKING:
    import polars as pl


def united(target: Target, schemas: Mapping[Any, Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    """One schema for partitions that were written at different times: a column more, a wider number, a column of nulls.

    The same within lists and structs: a day on which all lists were empty, a field more. `schemas` are by the place of each,
    which an error names. Raises MaterializationError for a column of several types.

    >>> import polars as pl
    >>> from pathlib import Path
    >>> from headwater.assets.location import asset_ref
    >>> target = Target(asset=asset_ref("x", "parquet://x", root=Path("/")), root=Path("/"))
    >>> united(target, {"1": {"a": pl.Int8()}, "2": {"a": pl.Int64(), "b": pl.String()}})
    {'a': Int64, 'b': String}
    """
    known_types: dict[str, pl.DataType] = {}
    for place, schema in schemas.items():
        for name, dtype in schema.items():
            known = known_types.setdefault(name, dtype)
            wider = _wider(known, dtype)
            if wider is None:
                message = (
                    f"the column {name!r} of '{target.asset.name}' is {known} in some partitions and {dtype} in others"
                )
                raise MaterializationError(message, where=str(place), hint="materialize the older partitions again")
            known_types[name] = wider
    return known_types


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    import polars as pl

    if one == other or isinstance(other, pl.Null):
        return one
    if isinstance(one, pl.Null):
        return other
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = _wider(instance_of(one.inner), instance_of(other.inner))
        return None if inner is None else pl.List(inner)
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        return _wider_struct(one, other)
    signed: list[pl.DataType] = [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()]
    unsigned: list[pl.DataType] = [pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()]
    floats: list[pl.DataType] = [pl.Float32(), pl.Float64()]
    for family in (signed, unsigned, floats):
        if one in family and other in family:
            return family[max(family.index(one), family.index(other))]
    return None


def _wider_struct(one: pl.Struct, other: pl.Struct) -> pl.DataType | None:
    import polars as pl

    fields = {field.name: instance_of(field.dtype) for field in one.fields}
    for field in other.fields:
        known = fields.setdefault(field.name, instance_of(field.dtype))
        wider = _wider(known, instance_of(field.dtype))
        if wider is None:
            return None
        fields[field.name] = wider
    return pl.Struct(fields)
