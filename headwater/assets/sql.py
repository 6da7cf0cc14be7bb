"""`sql`: a query that is executed inside the engine of the asset that it makes; no row passes through Python."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from headwater.errors import DefinitionError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class Sql:
    """A query with its named inputs; returned from a function bound to an asset in a SQL engine."""

    text: str
    inputs: Mapping[str, Any]


def quoted(name: str) -> str:
    """A name as an SQL identifier, in quotes.

    >>> print(quoted('a"b'))
    "a""b"
    """
    return '"' + name.replace('"', '""') + '"'


def sql(text: str, /, **inputs: Any) -> Sql:
    """A query for the engine of the asset that the function makes; each `{name}` in it stands for the input of that name.

    An input is an asset, an input that the function received, or a frame; or a value, which is written into the text as
    a literal: None, a truth value, a number, a text, a date, a time or a datetime. A literal brace is written twice.
    Raises DefinitionError when a name in the text has no input, or an input no place in the text.

    >>> query = sql("select * from {orders} where day = {day}", orders=object(), day=date(2024, 1, 5))
    >>> query.text, sorted(query.inputs)
    ("select * from {orders} where day = DATE '2024-01-05'", ['orders'])
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise DefinitionError(
            f"the query's braces don't match: {error}", where=text[:80], hint="write {{ for a brace"
        ) from error
    fields = [(name, form, conversion) for _, name, form, conversion in parts if name is not None]
    names = {name for name, _, _ in fields}
    if any(form or conversion for _, form, conversion in fields) or not all(name.isidentifier() for name in names):
        raise DefinitionError("an input in a query is written as a plain {name}", where=text[:80])
    if missing := sorted(names - set(inputs)):
        raise DefinitionError(
            f"the query names {{{missing[0]}}}, which was not given", where=text[:80], hint=f"sql(…, {missing[0]}=…)"
        )
    if unused := sorted(set(inputs) - names):
        raise DefinitionError(
            f"the input {unused[0]!r} does not occur in the query",
            where=text[:80],
            hint=f"write {{{unused[0]}}} where it belongs, or leave it out",
        )
    literals = {name: found for name, value in inputs.items() if (found := _literal(name, value)) is not None}
    if literals:
        text = "".join(
            _escaped(before) + ("" if name is None else _escaped(literals[name]) if name in literals else f"{{{name}}}")
            for before, name, _, _ in parts
        )
    return Sql(text, MappingProxyType({name: value for name, value in inputs.items() if name not in literals}))


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _literal(name: str, value: Any) -> str | None:
    """A plain value as a literal, complete by itself wherever it stands; None for what is no such value.

    >>> _literal("n", "O'Hare"), _literal("n", -7), _literal("n", 0.5), _literal("n", None)
    ("'O''Hare'", '(-7)', "CAST('0.5' AS DOUBLE)", 'NULL')
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return f"{int(value)}" if value >= 0 else f"({int(value)})"  # two minus signs would begin a comment
        case float():
            return f"CAST('{float(value)!r}' AS DOUBLE)"
        case Decimal() if value.is_finite():
            return f"({value:f})"
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return f"{'TIMESTAMP' if value.tzinfo is None else 'TIMESTAMPTZ'} '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case time() if value.tzinfo is None:
            return f"TIME '{value.isoformat()}'"
        case str() | Decimal() | time():
            raise DefinitionError(f"the value of '{name}' can't be written in SQL: {value!r}"[:200], where="sql")
    return None
