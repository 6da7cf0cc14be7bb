"""`partitions`: the lists of dynamic partitions, and what is added to them and removed from them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from headwater.assets import registry
from headwater.assets.dynamic_keys import KnownKeys, add, remove
from headwater.assets.partitions import DynamicPartitions, ProductPartitions
from headwater.cli.commands import PARTITIONS
from headwater.cli.common import define, open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Where
from headwater.cli.output import emit
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.errors import HeadwaterError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from headwater.project import Project

_LIST = "list of dynamic partitions"


def partitions_list(name: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the keys of one list of dynamic partitions, or all lists.

    Parameters
    ----------
    name
        The name of a list: its keys, in the order in which they were first added.
    """
    project = open_project(None)
    if name is None:
        lists = project.reader.dynamic_lists()
        rows = [(one["name"], f"{one['partitions']:,}", f"{one['removed']:,}") for one in lists]
        headers = ("name", "partitions", "removed")
        text = table(headers, rows, numbers=headers[1:]) if rows else "no dynamic partitions were added yet"
        emit({"lists": lists}, common.json, lambda: text)
        return 0
    if name not in (known := project.reader.dynamic_names()):
        raise UnknownNameError.of(_LIST, name, known)
    found = project.dynamic.of(name)
    value = {"name": name, "partitions": _here(found), "removed": [key for key in found.keys if key not in found.here]}
    emit(value, common.json, lambda: "\n".join(_here(found)) or f"{name} is empty")
    return 0


def partitions_add(
    name: str,
    /,
    *keys: Annotated[str, Parameter(allow_leading_hyphen=True)],
    new: Flag = False,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Add keys to a list of dynamic partitions: recorded when this returns.

    Parameters
    ----------
    name
        The name of the list; one that an asset is partitioned by begins with its first key.
    keys
        The keys to add. Those that are there already are left as they are.
    new
        Begin a list that nothing has yet.
    """
    project = open_project(None, writes=True)
    if not new:
        _check_known(project, DynamicPartitions(name).name, where)
    added = add(DynamicPartitions(name).name, _given(keys))
    return _changed(name, "added", added, project.dynamic.of(name), common)


def partitions_remove(
    name: str, /, *keys: Annotated[str, Parameter(allow_leading_hyphen=True)], common: Common = COMMON
) -> int:
    """Remove keys from a list of dynamic partitions. What was made of them stays, with its history.

    Parameters
    ----------
    name
        The name of the list.
    keys
        The keys to remove.
    """
    project = open_project(None, writes=True)
    known = project.reader.dynamic_names()
    if known and name not in known:
        raise UnknownNameError.of(_LIST, name, known)
    here = project.dynamic.of(name).here
    for key in _given(keys):
        if key not in here:
            raise UnknownNameError.of(f"partition of {name}", key, here)
    removed = remove(name, keys)
    return _changed(name, "removed", removed, project.dynamic.of(name), common)


def _check_known(project: Project, name: str, where: Where) -> None:
    """Raise UnknownNameError for a list that neither has keys nor is what an asset is partitioned by: a slip would begin one."""
    known = set(project.reader.dynamic_names())
    if name in known:
        return  # without the definitions, which take most of the time, and may be broken
    with suppress(HeadwaterError):
        define(project, where)
    known |= {found for asset in registry.current().assets.values() for found in _lists(asset.partitions)}
    if known and name not in known:
        error = UnknownNameError.of(_LIST, name, known)
        error.hint = f"{error.hint} --new begins it"
        raise error


def _lists(divided: object) -> list[str]:
    """The lists of dynamic partitions that an asset is partitioned by."""
    if isinstance(divided, ProductPartitions):
        return [name for _, one in divided.dims for name in _lists(one)]
    return [divided.name] if isinstance(divided, DynamicPartitions) else []


def _given(keys: tuple[str, ...]) -> tuple[str, ...]:
    if not keys:
        raise UsageError("no key was given", hint="name one or more after the name of the list")
    return keys


def _here(found: KnownKeys) -> list[str]:
    return [key for key in found.keys if key in found.here]


def _changed(name: str, how: str, keys: tuple[str, ...], found: KnownKeys, common: Common) -> int:
    value = {"name": name, how: list(keys), "partitions": len(found.here)}
    text = f"{how} {', '.join(keys)}" if keys else f"nothing to do: {name} has them already"
    emit(value, common.json, lambda: f"{text}; {name} has {len(found.here):,} partition{'s' * (len(found.here) != 1)}")
    return 0


partitions_app = tree("partitions", PARTITIONS)
"""The commands under `partitions`."""
