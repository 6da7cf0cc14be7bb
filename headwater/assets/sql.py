"""`sql`: a query that is executed inside the engine of the asset that it makes; no row passes through Python."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from headwater.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Sql:
    """A query with its named inputs; returned from a function bound to an asset in a SQL engine."""

    text: str
    inputs: Mapping[str, Any]


def sql(text: str, /, **inputs: Any) -> Sql:
    """A query for the engine of the asset that the function makes; each `{name}` in it stands for the input of that name.

    An input is an asset, an input that the function received, or a frame. A literal brace is written twice.
    Raises DefinitionError when a name in the text has no input, or an input no place in the text.

    >>> query = sql("select carrier, avg(dep_delay) from {flights} group by carrier", flights="…")
    >>> sorted(query.inputs)
    ['flights']
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise DefinitionError(
            f"the query's braces don't match: {error}", where=text[:80], hint="write {{ for a brace"
        ) from error
    names = set(fields)
    if "" in names or not all(name.isidentifier() for name in names):
        raise DefinitionError("an input in a query is written as a plain {name}", where=text[:80])
    if missing := sorted(names - set(inputs)):
        raise DefinitionError(
            f"the query names {{{missing[0]}}}, which was not given", where=text[:80], hint=f"sql(…, {missing[0]}=…)"
        )
    if unused := sorted(set(inputs) - names):
        raise DefinitionError(f"the input {unused[0]!r} does not occur in the query", where=text[:80])
    return Sql(text, MappingProxyType(dict(inputs)))
