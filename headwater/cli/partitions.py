"""`partitions`: the lists of dynamic partitions, and what is added to them and removed from them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from headwater.assets.dynamic_keys import KnownKeys, add, remove
from headwater.assets.partitions import DynamicPartitions
from headwater.cli.commands import COMMANDS, PARTITIONS
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit
from headwater.cli.tables import table
from headwater.errors import UnknownNameError, UsageError


def partitions_list(name: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the keys of one list of dynamic partitions, or all lists.

    Parameters
    ----------
    name
        The name of a list: its keys, in the order in which they were first added.
    """
    project = open_project(None)
    lists = project.reader.dynamic_lists()
    if name is None:
        rows = [(one["name"], f"{one['partitions']:,}", f"{one['removed']:,}") for one in lists]
        headers = ("name", "partitions", "removed")
        text = table(headers, rows, numbers=headers[1:]) if rows else "no dynamic partitions were added yet"
        emit({"lists": lists}, common.json, lambda: text)
        return 0
    if name not in {one["name"] for one in lists}:
        raise UnknownNameError.of("list of dynamic partitions", name, [one["name"] for one in lists])
    found = project.dynamic.of(name)
    value = {"name": name, "partitions": _here(found), "removed": [key for key in found.keys if key not in found.here]}
    emit(value, common.json, lambda: "\n".join(_here(found)) or f"{name} is empty")
    return 0


def partitions_add(
    name: str, /, *keys: Annotated[str, Parameter(allow_leading_hyphen=True)], common: Common = COMMON
) -> int:
    """Add keys to a list of dynamic partitions: recorded when this returns.

    Parameters
    ----------
    name
        The name of the list; it begins with its first key.
    keys
        The keys to add. Those that are there already are left as they are.
    """
    project = open_project(None, writes=True)
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
    here = project.dynamic.of(name).here
    for key in _given(keys):
        if key not in here:
            raise UnknownNameError.of(f"partition of {name}", key, here)
    removed = remove(name, keys)
    return _changed(name, "removed", removed, project.dynamic.of(name), common)


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


partitions_app = App(name="partitions", help=COMMANDS["partitions"].help, help_epilogue=COMMANDS["partitions"].epilogue)
"""The commands under `partitions`."""
for _name, _one in PARTITIONS.items():
    partitions_app.command(f"headwater.cli.{_one.place}", name=_name, help=_one.help, help_epilogue=_one.epilogue)
