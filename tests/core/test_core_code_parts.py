"""What a function's code depends on: helpers and constants of its project count, by name; what is installed does not."""

from __future__ import annotations

import argparse
import dis
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from headwater.core.code_names import chains
from headwater.core.code_parts import code_parts

SHOP = """
import json
import math
import pathlib
import shop_helpers
from shop_helpers import clean as tidy

LIMIT = 3
CHANGING = [1]
PLACES = (1, [2])

def inner(x):
    return x + LIMIT

def helper(x):
    return inner(x)

def unused(x):
    return x

class Client: ...

client = Client()

def load(x):
    def nested(y):
        return shop_helpers.scale(y)
    return json.dumps([helper(x), tidy(x), nested(x), CHANGING, PLACES, client, math.pi, load])
"""
HELPERS = """
FACTOR = 2

def scale(x):
    return x * FACTOR

def clean(x):
    return x

def other(x):
    return x
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "shop_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("shop_helpers", None)


def parts(folder: Path, **changed: tuple[str, str]) -> dict[str, str]:
    """The parts of `load` with some text of a module changed."""
    for module, text in (("shop", SHOP), ("shop_helpers", HELPERS)):
        old, new = changed.get(module, ("", ""))
        (folder / f"{module}.py").write_text(text.replace(old, new) if old else text)
    return code_parts(fresh(folder, "shop").load, folder)


def fresh(folder: Path, name: str) -> Any:
    """A module from its source, however little time has passed since it was compiled."""
    for one in ("shop_helpers", name):
        spec = importlib.util.spec_from_file_location(one, folder / f"{one}.py")
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[one] = module
        exec(compile((folder / f"{one}.py").read_text(), folder / f"{one}.py", "exec"), module.__dict__)
    return sys.modules.pop(name)


def test_helpers_and_constants_of_the_project_count(folder: Path) -> None:
    assert set(parts(folder)) == {
        "code", "code of helper", "code of inner", "code of shop_helpers.clean", "code of shop_helpers.scale",
        "constant 'LIMIT'", "constant 'shop_helpers.FACTOR'", "constant 'CHANGING'", "constant 'PLACES'",
        "constant 'math.pi'",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "old", "new", "differs"),
    [
        ("shop", "return inner(x)", "return inner(x) + 1", {"code of helper"}),
        ("shop", "return x + LIMIT", "return x - LIMIT", {"code of inner"}),
        ("shop", "LIMIT = 3", "LIMIT = 4", {"constant 'LIMIT'"}),
        ("shop", "def unused(x):\n    return x", "def unused(x):\n    return 2", set()),
        ("shop", "CHANGING = [1]", "CHANGING = [2]", {"constant 'CHANGING'"}),
        ("shop", "tidy(x), ", "", {"code", "code of shop_helpers.clean"}),
        ("shop_helpers", "return x * FACTOR", "return x ** FACTOR", {"code of shop_helpers.scale"}),
        ("shop_helpers", "FACTOR = 2", "FACTOR = 2.0", {"constant 'shop_helpers.FACTOR'"}),
        ("shop_helpers", "def other(x):\n    return x", "def other(x):\n    return 1", set()),
        ("shop_helpers", "FACTOR = 2", "# a comment\nFACTOR = 2", set()),
    ],
)
def test_what_changed_is_told_by_name(folder: Path, module: str, old: str, new: str, differs: set[str]) -> None:
    before, after = parts(folder), parts(folder, **{module: (old, new)})
    assert {name for name in {**before, **after} if before.get(name) != after.get(name)} == differs


def test_names_may_be_left_out(folder: Path) -> None:
    load = fresh(folder, "shop").load
    left = code_parts(load, folder, frozenset({"helper", "FACTOR"}))
    assert set(parts(folder)) - set(left) == {
        "code of helper",
        "code of inner",
        "constant 'LIMIT'",
        "constant 'shop_helpers.FACTOR'",
    }


def test_what_has_no_source_still_has_a_fingerprint(tmp_path: Path) -> None:
    assert list(code_parts(json.codecs.lookup, tmp_path)) == ["code"]
    assert list(code_parts(len, tmp_path)) == ["code"]


USES = """
import functools
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

HERE = Path(__file__).parent / "data.csv"
PATTERN = re.compile("a+")
FILLED = dict(a=1)
REBUILT = [1]
REBUILT = [2]

def traced(fn):
    @functools.wraps(fn)
    def call(*args):
        return fn(*args)
    return call

@functools.lru_cache
def cached(x):
    return x

def base(x, y):
    return x + y

partly = functools.partial(base, 2)

class Kind(Enum):
    A = "a"

@dataclass(frozen=True)
class Config:
    rate: float = 0.5
    @property
    def double(self):
        return self.rate * 2

config = Config()

@traced
def load(x, how=base):
    return cached(x), partly(x), config.double, Kind.A, HERE, PATTERN, FILLED, REBUILT

def maker(rows, helper):
    def inner(x):
        return rows, helper(x)
    return inner

inner = maker([1, {"a": 2}], base)
"""


def uses(folder: Path, old: str = "", new: str = "", name: str = "load") -> dict[str, str]:
    """The parts of a function of `USES` with some text changed."""
    (folder / "shop_helpers.py").write_text("")
    (folder / "uses.py").write_text(USES.replace(old, new) if old else USES)
    return code_parts(getattr(fresh(folder, "uses"), name), folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "differs"),
    [
        ("load", "return fn(*args)", "return fn(*args) or 0", {"code of traced.<locals>.call"}),
        ("load", "def cached(x):\n    return x", "def cached(x):\n    return -x", {"code of cached"}),
        ("load", "return x + y", "return x - y", {"code of base"}),
        ("load", "partial(base, 2)", "partial(base, 3)", {"constant 'partly'"}),
        ("load", "rate: float = 0.5", "rate: float = 0.6", {"fields of Config", "constant 'config'", "class constant Config.rate"}),
        ("load", "self.rate * 2", "self.rate + self.rate", {"code of Config.double"}),
        ("load", 'A = "a"', 'A = "b"', None),
        ("load", '"data.csv"', '"other.csv"', {"constant 'HERE'"}),
        ("load", '"a+"', '"b+"', {"constant 'PATTERN'"}),
        ("load", "dict(a=1)", "dict(a=2)", set()),
        ("load", "REBUILT = [2]", "REBUILT = [3]", set()),
        ("inner", '{"a": 2}', '{"a": 3}', {"variable 'rows'"}),
        ("inner", "return x + y", "return x - y", {"code of base"}),
    ],
)  # fmt: skip
def test_what_stands_around_a_function_counts(
    folder: Path, name: str, old: str, new: str, differs: set[str] | None
) -> None:
    before, after = uses(folder, name=name), uses(folder, old, new, name=name)
    found = {one for one in {**before, **after} if before.get(one) != after.get(one)}
    assert found == differs if differs is not None else found


TABLES = """
from dataclasses import dataclass, field
from functools import partial

def clean(x):
    return x

def join(x):
    return x + 1

def by(x, y):
    return x + y

class Reader:
    def read(self):
        return 1

STEPS = (clean, 2, (join,))
READERS = {
    "csv": Reader(),
    "by": partial(by, y=2),
    "own": lambda x: x + 3,
    **{"clean": clean},
}
FILLED = {}
FILLED["join"] = lambda x: x + 4

class Shop:
    order = [clean, join]

@dataclass
class Config:
    days: list = field(default_factory=lambda: [5])

def load(x):
    return [step(x) for step in STEPS], READERS["csv"].read(), READERS["by"](x), FILLED, Shop.order, Config()
"""


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("return x\n", "return -x\n", {"code of clean"}),
        ("return x + 1", "return x - 1", {"code of join"}),
        ("(clean, 2, (join,))", "(join, 2, (clean,))", {"constant 'STEPS'"}),
        ("2, (join,)", "3, (join,)", {"constant 'STEPS'"}),
        ("return 1", "return 2", {"code of Reader.read"}),
        ("return x + y", "return x * y", {"code of by"}),
        ("y=2", "y=3", {"constant 'READERS'"}),
        ("x + 3", "x - 3", {"constant 'READERS'"}),
        ("x + 4", "x - 4", set()),
        ("[clean, join]", "[join, clean]", {"class constant Shop.order"}),
        ("[5]", "[6]", {"code of Config.<lambda>"}),
    ],
)
def test_functions_and_objects_within_a_container_count(folder: Path, old: str, new: str, differs: set[str]) -> None:
    def parts(text: str) -> dict[str, str]:
        (folder / "tables.py").write_text(text)
        (folder / "shop_helpers.py").write_text("")
        return code_parts(fresh(folder, "tables").load, folder)

    before, after = parts(TABLES), parts(TABLES.replace(old, new, 1))
    assert {one for one in {**before, **after} if before.get(one) != after.get(one)} == differs


def test_a_list_that_holds_itself_and_a_function_has_a_fingerprint(tmp_path: Path) -> None:
    def maker(held: list[Any]) -> Any:
        return lambda: held

    around: list[Any] = [maker]
    around += [around, around]
    assert "variable 'held'" in code_parts(maker(around), tmp_path)


def test_the_same_project_elsewhere_has_the_same_parts(folder: Path) -> None:
    other = folder / "elsewhere"
    other.mkdir()
    assert uses(folder) == uses(other)


@pytest.mark.parametrize("module", [json, argparse, importlib.util, Path])
def test_names_are_those_that_the_interpreter_looks_up(module: Any) -> None:
    for fn in [one for one in vars(module).values() if isinstance(one, FunctionType)]:
        assert set(chains(fn.__code__)) == looked_up(fn.__code__)


def looked_up(code: CodeType) -> set[tuple[str, ...]]:
    """The same by the disassembler."""
    found: set[tuple[str, ...]] = set()
    chain: tuple[str, ...] = ()
    for one in dis.get_instructions(code):
        if one.opname in ("CACHE", "NOP"):
            continue
        if chain and one.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain = (*chain, one.argval)
            continue
        found |= {chain} if chain else set()
        begins = one.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
        chain = (one.argval,) if begins else ()
    return found.union(*(looked_up(one) for one in code.co_consts if isinstance(one, CodeType)))


LAZY = """
LIMIT = 3

def load(most=LIMIT, least=-1):
    from store.rules import keep
    return keep(most)

def early():
    import json
    return json
"""


def lazy(folder: Path, **changes: str) -> dict[str, str]:
    """The parts of a function that imports as it runs, with the text of some modules changed."""
    texts = {"lazy.py": LAZY, "store/__init__.py": "", "store/rules.py": RULES, "store/rates.py": "RATE = 2\n"}
    (folder / "store").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(changes.get(Path(name).stem, text))
    return code_parts(fresh(folder, "lazy").load, folder)


RULES = "from .rates import RATE\n\ndef keep(most):\n    return most * RATE\n"


def test_what_a_function_imports_as_it_runs_counts(folder: Path) -> None:
    before = lazy(folder)
    assert set(before) == {
        "code",
        "default of 'most'",
        "default of 'least'",
        "module store",
        "module store.rules",
        "module store.rates",
    }
    assert lazy(folder, rules='"""Rules."""\n' + RULES.replace("most * RATE", "(most  *  RATE)  # so much")) == before
    changed = lazy(folder, rules=RULES.replace("*", "+"))
    assert {name for name in before if before[name] != changed[name]} == {"module store.rules"}
    further = lazy(folder, rates="RATE = 3\n")
    assert {name for name in before if before[name] != further[name]} == {"module store.rates"}
    limit = lazy(folder, lazy=LAZY.replace("LIMIT = 3", "LIMIT = 4"))
    assert {name for name in before if before[name] != limit[name]} == {"default of 'most'"}
    assert set(code_parts(fresh(folder, "lazy").early, folder)) == {"code"}
    assert lazy(folder, rules="def keep(:")["module store.rules"].startswith("unreadable")


def test_imports_of_a_function_of_many_names_are_told_right(folder: Path) -> None:
    lines = "\n".join(f"    name_{number}()" for number in range(300))
    text = f"def load():\n{lines}\n    from store.rules import keep\n    return keep\n"
    assert {name for name in lazy(folder, lazy=text) if name.startswith("module")} == {
        "module store",
        "module store.rules",
        "module store.rates",
    }
