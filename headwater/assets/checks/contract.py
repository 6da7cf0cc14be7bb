"""`schema`: which columns an asset has, and how they may change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, Unpack

from headwater.assets.checks.base import Check, Found, Options, named, taking
from headwater.assets.events import CheckResult, ColumnSchema
from headwater.errors import DefinitionError
from headwater.records import dataclass
from headwater.wording import counted

if TYPE_CHECKING:
    import polars as pl

    from headwater.assets.checks.context import CheckContext

Evolution: TypeAlias = Literal["none", "additive", "any"]

_NOT_NULL = re.compile(r"(^|\s+)not\s+null\s*$", re.IGNORECASE)


class Declared(NamedTuple):
    """A column as the contract declares it."""

    name: str
    type: str
    nullable: bool = True


class Column(NamedTuple):
    """A column as it is: its type as the asset's engine prints it and as Polars does, and how many nulls it holds."""

    name: str
    types: tuple[str, ...]
    nulls: int = 0


class Change(NamedTuple):
    """One difference between two schemas: added, removed, retyped or nullable."""

    kind: str
    column: str
    text: str

    @property
    def breaks(self) -> bool:
        """Whether who reads the column may notice: an added one does no harm."""
        return self.kind != "added"


def changes(declared: Sequence[Declared], columns: Sequence[Column]) -> list[Change]:
    """What differs, in the order of the columns, those that are gone last.

    >>> [change.text for change in changes([Declared("id", "Int64"), Declared("at", "Date")], [Column("id", ("String",))])]
    ['id is String, was Int64', 'at is gone']
    """
    known = {one.name: one for one in declared}
    found = [change for column in columns for change in _of_column(column, known.get(column.name))]
    have = {column.name for column in columns}
    return found + [Change("removed", one.name, f"{one.name} is gone") for one in declared if one.name not in have]


def _of_column(column: Column, declared: Declared | None) -> list[Change]:
    if declared is None:
        return [Change("added", column.name, f"{column.name} ({column.types[0]}) is new")]
    found = []
    # A column of which only nulls are known has no type of its own yet.
    if not any(_same(declared.type, one) for one in column.types) and "Null" not in (*column.types, declared.type):
        text = f"{column.name} is {column.types[0]}, was {declared.type}"
        found.append(Change("retyped", column.name, text))
    if not declared.nullable and column.nulls:
        found.append(Change("nullable", column.name, f"{column.name} holds {counted(column.nulls, 'null')}"))
    return found


def _same(declared: str, actual: str) -> bool:
    """Whether two types are the same; one without its parameters stands for all of them: Datetime, DECIMAL."""
    one, other = "".join(declared.split()).lower(), "".join(actual.split()).lower()
    return one == other or one == other.partition("(")[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SchemaContract(Check):
    """The columns of a table, held against those declared, or those of the last version."""

    kind: ClassVar[str] = "schema"

    declared: tuple[Declared, ...] | None
    evolution: Evolution

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are declared."""
        return tuple(one.name for one in self.declared or ())

    def measures(self, schema: pl.Schema) -> Mapping[str, pl.Expr]:
        """The nulls of columns that may hold none, and the types, which cost nothing."""
        import polars as pl

        strict = [one.name for one in self.declared or () if not one.nullable and one.name in schema]
        types = {f"type {name}": pl.lit(str(dtype)) for name, dtype in schema.items()}
        return {**types, **{f"nulls {name}": pl.col(name).null_count() for name in strict}}

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when nothing changed but what may."""
        baseline = self.declared
        if baseline is None:
            last = context.last()
            if last is None or not last.columns:
                return CheckResult(passed=True, message="no earlier version to compare the columns with")
            baseline = tuple(Declared(one.name, one.type) for one in last.columns)
        different = changes(baseline, _columns(found, context.columns))
        metrics: dict[str, float | None] = {kind: sum(1 for one in different if one.kind == kind) for kind in _KINDS}
        refused = [one for one in different if self.evolution == "none" or one.breaks]
        passed = self.evolution == "any" or not refused
        listed = different if passed else refused
        return CheckResult(passed=passed, message=", ".join(one.text for one in listed) or None, metrics=metrics)


_KINDS = ("added", "removed", "retyped", "nullable")


def _columns(found: Found, staged: Sequence[ColumnSchema]) -> list[Column]:
    engine = {one.name: one.type for one in staged}
    names = [name.removeprefix("type ") for name in found if name.startswith("type ")]
    return [
        Column(
            name,
            (engine[name], found[f"type {name}"]) if name in engine else (found[f"type {name}"],),
            found.get(f"nulls {name}", 0),
        )
        for name in names
    ]


@taking(Options)
def schema(
    columns: Mapping[str, Any] | None = None, *, evolution: Evolution = "additive", **options: Unpack[Options]
) -> SchemaContract:
    """A check on the columns of an asset: those that it must have, with their types, or those of its last version.

    A type is a text as Polars or the asset's engine prints it ("Int64", "BIGINT", "Datetime" for one of any unit and
    zone), or a Polars type; "Int64 not null" must hold no nulls. Without columns, the version that was published last
    says what they are. `evolution` says what may change: nothing ("none"), columns may be added ("additive"), or anything
    ("any": it passes, and says what changed).

    >>> schema({"carrier": "String not null", "dep_delay": "Float64"}).columns
    ('carrier', 'dep_delay')
    """
    if evolution not in ("none", "additive", "any"):
        raise DefinitionError(f"evolution can't be {evolution!r}", where="schema", hint='"none", "additive" or "any"')
    if columns is not None and not (isinstance(columns, Mapping) and columns):
        raise DefinitionError(f"schema can't hold {columns!r}", hint='write schema({"id": "Int64", "name": "String"})')
    declared = None if columns is None else tuple(_declared(name, given) for name, given in columns.items())
    return SchemaContract(declared=declared, evolution=evolution, **named("schema", options))


def _declared(name: str, given: object) -> Declared:
    # A Polars type prints as it is recorded; its class, by its name.
    text = given if isinstance(given, str) else given.__name__ if isinstance(given, type) else str(given)
    plain = {
        "str": "String",
        "int": "Int64",
        "float": "Float64",
        "bool": "Boolean",
        "date": "Date",
        "datetime": "Datetime",
    }
    kept = _NOT_NULL.sub("", text).strip()
    if not isinstance(name, str) or not kept:
        raise DefinitionError(f"the column {name!r} can't be of type {given!r}", where="schema", hint='write "Int64"')
    return Declared(name, plain.get(kept, kept), nullable=kept == text.strip())
