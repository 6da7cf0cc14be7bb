"""`sql_check`: a query whose rows are what is wrong, executed in the engine that holds the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from headwater.assets.asset import Asset, AssetInput
from headwater.assets.checks.base import Check, Found, Options, named, taking
from headwater.assets.checks.reconciliation import bound_to
from headwater.assets.checks.rows import EXAMPLES, examples_of
from headwater.assets.events import CheckResult
from headwater.assets.protocols import SqlQuery
from headwater.assets.sql import sql
from headwater.errors import DefinitionError
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.checks.context import CheckContext


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SqlCheck(Check):
    """A query for rows that should not be there."""

    kind: ClassVar[str] = "sql"

    text: str
    inputs: Mapping[str, AssetInput]
    examples: tuple[str, ...] = ()
    at_most: int = 0

    def judge(self, found: Found, context: CheckContext) -> CheckResult:
        """Passed when the query gives no more rows than may be."""
        inputs: dict[str, Any] = {"this": context.relation()}
        for name, given in self.inputs.items():
            inputs[name] = bound_to(context, given).relation(context.runtime)
        query = SqlQuery(text=self.text, inputs=inputs)
        failed, few = context.runtime.failing(query, self.examples, EXAMPLES)
        result = CheckResult(passed=failed <= self.at_most, metrics={"failed": failed})
        if not failed:
            return result
        may = f", {self.at_most:,} may" if self.at_most else ""
        shown = examples_of([dict(zip(self.examples, row, strict=True)) for row in few])
        return replace(result, message=f"{failed:,} row{' fails' if failed == 1 else 's fail'}{may}{shown}")


@taking(Options)
def sql_check(
    text: str,
    *,
    inputs: Mapping[str, Asset | AssetInput] | None = None,
    at_most: int = 0,
    examples: Sequence[str] = (),
    **options: Unpack[Options],
) -> SqlCheck:
    """A check that a query in DuckDB's dialect gives no rows (or `at_most` so many): those that it gives are failures.

    `{this}` stands for the data that is checked, other names for the `inputs`. The query is executed inside DuckDB on the
    staged data, and only the number of rows comes out; `examples` names columns of the result that are shown of a few.

    >>> sql_check("select * from {this} where arr_time < dep_time", name="arrives_later").kind
    'sql'
    """
    given = {name: AssetInput(one) if isinstance(one, Asset) else one for name, one in (inputs or {}).items()}
    if "this" in given:
        raise DefinitionError(
            "{this} is the data that is checked", where="sql_check", hint="name the input differently"
        )
    for name, one in given.items():
        if not isinstance(one, AssetInput):
            raise DefinitionError(f"the input '{name}' of a check must be an asset, got {one!r}", where="sql_check")
    if isinstance(examples, str) or at_most < 0:
        raise DefinitionError("examples is a list of columns, and at_most a number of rows", where="sql_check")
    sql(text, this=None, **given)
    name = f"sql({' '.join(text.split())[:60]})"
    return SqlCheck(text=text, inputs=given, examples=tuple(examples), at_most=at_most, **named(name, options))
