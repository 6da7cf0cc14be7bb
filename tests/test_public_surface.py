"""What users import: the names, each documented with an example, and what importing them costs."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import headwater
from headwater.core.options import FlowOptionValues, OptionValues

HEAVY = {
    "duckdb",
    "fastapi",
    "networkx",
    "openlineage",
    "orjson",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "rich",
    "sqlglot",
}
SURFACES = (
    "import headwater",
    "import headwater.core.flow, headwater.core.task, headwater.core.futures",
    "import headwater.assets.asset, headwater.assets.materialize, headwater.assets.partitions, headwater.assets.freshness",
    "from headwater import *",
    "import headwater.testing",
    "from headwater.checks import *",
)


def test_the_names_are_sorted_and_are_what_is_public() -> None:
    assert headwater.__all__ == sorted(headwater.__all__)
    assert set(headwater.__all__) == set(headwater._WHERE)
    for name in headwater.__all__:
        assert getattr(headwater, name) is not None
        assert name in dir(headwater)


def test_the_names_are_what_type_checkers_see() -> None:
    tree = ast.parse(Path(headwater.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == {name: f"headwater.{module}" for name, module in headwater._WHERE.items()}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'assset'"):
        headwater.assset  # noqa: B018


@pytest.mark.parametrize("name", headwater.__all__)
def test_every_public_name_says_what_it_is_with_an_example(name: str) -> None:
    value = getattr(headwater, name)
    text = value.__doc__ or ""
    assert doctest.DocTestParser().get_examples(text), f"the docstring of headwater.{name} has no example"
    module = inspect.getmodule(value)
    found = doctest.DocTestFinder(exclude_empty=True, recurse=True).find(value, name, module=module)
    assert any(test.examples for test in found), f"pytest would not run the example of headwater.{name}"


def test_every_option_of_a_task_and_of_a_flow_stands_in_its_docstring() -> None:
    task, flow = (set(values.__annotations__) for values in (OptionValues, FlowOptionValues))
    for options, docstring in ((task, headwater.task.__doc__), (flow - task, headwater.flow.__doc__)):
        assert [name for name in sorted(options) if f"`{name}`" not in (docstring or "")] == []


@pytest.mark.parametrize("statement", SURFACES)
def test_importing_loads_no_heavy_library(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*set({sorted(HEAVY)}) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
