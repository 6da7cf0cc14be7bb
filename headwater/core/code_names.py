"""The names that compiled code looks up outside itself: `helpers.clean` in `helpers.clean(rows)`, with what it reads of each."""

from __future__ import annotations

import opcode
import sys
from functools import lru_cache
from types import CodeType

Chain = tuple[str, ...]

_GLOBAL = opcode.opmap["LOAD_GLOBAL"]
_NAME = {opcode.opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in opcode.opmap}
_METHOD = opcode.opmap.get("LOAD_METHOD")
"""Since Python 3.12 no code has it: there it is a kind of LOAD_ATTR."""
_ATTRIBUTE = opcode.opmap["LOAD_ATTR"]
_EXTENDED = opcode.opmap["EXTENDED_ARG"]
_NOTHING = {opcode.opmap[name] for name in ("CACHE", "NOP") if name in opcode.opmap} | {0}
_SHIFT = 1 if sys.version_info >= (3, 12) else 0
"""Since Python 3.12 the lowest bit of what LOAD_ATTR is given says whether a method is called."""


@lru_cache(maxsize=4096)
def chains(code: CodeType) -> tuple[Chain, ...]:
    """Each global name that code loads, with the attributes that are read of it right away; of code within it, too.

    >>> def clean(rows): return [helpers.tidy.once(row) for row in rows if row > LIMIT]
    >>> sorted(chains(clean.__code__))
    [('LIMIT',), ('helpers', 'tidy', 'once')]
    """
    found: dict[Chain, None] = {}
    chain: Chain = ()
    given = 0
    raw, names = code.co_code, code.co_names
    for operation, low in zip(raw[::2], raw[1::2], strict=True):
        if operation in _NOTHING:
            continue
        given = given << 8 | low
        if operation == _EXTENDED:
            continue
        if chain and operation == _ATTRIBUTE:
            chain = (*chain, names[given >> _SHIFT])
        elif chain and operation == _METHOD:
            chain = (*chain, names[given])
        else:
            if chain:
                found[chain] = None
            chain = _loaded(operation, given, names)
        given = 0
    for one in code.co_consts:
        if isinstance(one, CodeType):
            found.update(dict.fromkeys(chains(one)))
    return tuple(found)


def _loaded(operation: int, given: int, names: tuple[str, ...]) -> Chain:
    if operation == _GLOBAL:
        return (names[given >> 1],)
    return (names[given],) if operation in _NAME else ()


@lru_cache(maxsize=4096)
def names(code: CodeType) -> frozenset[str]:
    """All names that code, and code within it, looks up in any way: global names, attributes, methods.

    >>> def clean(row): return [one.strip() for one in row]
    >>> names(clean.__code__)
    frozenset({'strip'})
    """
    found = set(code.co_names)
    for one in code.co_consts:
        if isinstance(one, CodeType):
            found |= names(one)
    return frozenset(found)
