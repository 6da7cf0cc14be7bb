"""The kinds of events: closed, told apart, documented in docs/events.md, and the same again after a journey through JSON."""

import dataclasses
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

import headwater
from headwater.assets import backfill_events
from headwater.assets import events as asset_events
from headwater.core import events as core_events
from headwater.core import request_events
from headwater.core.journal.events import Body, from_plain
from headwater.core.journal.home import Home
from headwater.core.journal.lines import decode
from headwater.core.journal.reader import Reader
from headwater.core.journal.writer import Writer

MODULES = (core_events, request_events, asset_events, backfill_events)
KINDS = {kind: body for module in MODULES for kind, body in module.KINDS.items()}
PAGE = (Path(headwater.__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def body_classes() -> set[type[Body]]:
    return {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Body) and value is not Body
    }


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def members(cls: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def test_the_kinds_are_closed_and_unique() -> None:
    assert set(KINDS.values()) == body_classes()
    assert len(KINDS) == sum(len(module.KINDS) for module in MODULES)
    for kind, cls in KINDS.items():
        assert cls.kind == kind
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", kind)
        assert cls.__doc__
        assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_every_kind_is_documented_as_it_is() -> None:
    told = {row[0].strip("`"): row[1:] for row in rows("Kinds")}
    assert list(told) == list(KINDS)
    for kind, (durable, says, names) in told.items():
        assert durable == ("yes" if KINDS[kind].durable else "no"), kind
        assert says
        assert re.findall(r"`(\w+)`", names) == members(KINDS[kind]), kind


def test_every_record_is_documented_as_it_is() -> None:
    records = {cls.__name__: cls for body in KINDS.values() for cls in nested(body)}
    told = {row[0].strip("`"): row[-1] for row in rows("Records in them")}
    assert told.keys() == {name for name in records if name not in {cls.__name__ for cls in KINDS.values()}}
    for name, names in told.items():
        assert re.findall(r"`(\w+)`", names) == members(records[name]), name


def nested(cls: type[Any]) -> set[type[Any]]:
    found: set[type[Any]] = set()
    for hint in typing.get_type_hints(cls).values():
        for one in (hint, *typing.get_args(hint)):
            if isinstance(one, type) and dataclasses.is_dataclass(one):
                found |= {one} | nested(one)
    return found


def test_the_line_is_documented_as_it_is(tmp_path: Path) -> None:
    with_members = [row[0].strip("`") for row in rows("A line")]
    home = Home.open(tmp_path / "home", create=True)
    writer = Writer(home)
    writer.append(core_events.LogWritten(run_id="r", level=20, logger="l", message="m"))
    writer.close()
    lines = [line for path in home.journal.iterdir() for line in path.read_bytes().splitlines()]
    assert [list(json.loads(line)) for line in lines] == [with_members] * 3
    assert [json.loads(line)["k"] for line in lines] == ["writer.opened", "log.written", "writer.closed"]
    assert [decode(line).seq for line in lines] == [0, 1, 2]


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a member, by its annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(values(arg) for arg in args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, TEXT if args[1] is str else st.one_of(TEXT, NUMBERS, st.none()), max_size=2)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return instances(hint)
    simple = {str: TEXT, int: NUMBERS, bool: st.booleans(), type(None): st.none(), float: st.floats(0, 1e9)}
    return simple[hint]


def instances(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{name: values(hints[name]) for name in members(cls)})


@pytest.mark.parametrize("cls", KINDS.values(), ids=KINDS.keys())
@tried_on(15)
@given(data=st.data())
def test_a_body_is_the_same_again_from_plain_values(cls: type[Body], data: st.DataObject) -> None:
    body = data.draw(instances(cls))
    plain = json.loads(json.dumps(dataclasses.asdict(body)))
    assert from_plain(cls, plain) == body
    assert from_plain(cls, {**plain, "added_by_a_later_version": 1}) == body


@tried_on(15)
@given(bodies=st.lists(st.one_of([instances(cls) for cls in KINDS.values()]), max_size=4))
def test_bodies_are_the_same_again_from_the_journal(
    bodies: list[Body], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home.open(tmp_path_factory.mktemp("journal") / "home", create=True)
    writer = Writer(home)
    writer.append(*bodies)
    writer.close()
    found = [event for event in Reader(home).events() if not event.kind.startswith("writer.")]
    expected = [body for body in bodies if not body.kind.startswith("writer.")]
    assert [event.record(KINDS[event.kind]) for event in found] == expected
