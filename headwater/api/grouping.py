"""By what assets are put on one card of a drawn graph when there are too many to be drawn one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition

Grouping: TypeAlias = Literal["auto", "none", "group", "owner", "kind", "folder"]
_FOLDER = re.compile(r"(.+?)(?:[./:]|__)")
_REST = "(others)"


def by_what(asked: Grouping, definitions: Iterable[AssetDefinition]) -> Grouping:
    """What is asked for; with "auto" the first of group, folder, owner and kind that at least half of the assets have."""
    if asked not in ("auto", "none"):
        return asked
    every = list(definitions)
    tried: tuple[Grouping, ...] = ("group", "folder", "owner")
    for one in tried:
        if sum(group_of(one, definition) != _REST for definition in every) * 2 >= max(len(every), 1):
            return one
    return "kind"


def group_of(by: Grouping, definition: AssetDefinition) -> str:
    """The group of an asset: its own, the folder that its name begins with, its first owner, or its kind.

    >>> folder("shop.orders"), folder("raw/2024/orders"), folder("orders")
    ('shop', 'raw', None)
    """
    if by == "kind":
        return definition.ref.kind
    if by == "owner":
        return definition.owners[0] if definition.owners else _REST
    return (definition.group if by == "group" else folder(definition.name)) or _REST


def folder(name: str) -> str | None:
    """What a name says before the first dot, slash, colon or double underscore; None when it has none of these."""
    found = _FOLDER.match(name)
    return None if found is None else found[1]
