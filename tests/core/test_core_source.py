from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.core import source
from headwater.core.source import source_of

PLAIN = "def make(x, y=1):\n    return x + y\n"


def load(folder: Path, text: str, name: str = "make") -> Any:
    load.count += 1  # type: ignore[attr-defined]
    path = folder / f"made_{load.count}.py"  # type: ignore[attr-defined]
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


load.count = 0  # type: ignore[attr-defined]


def hash_of(folder: Path, text: str, name: str = "make") -> str:
    return source_of(load(folder, text, name), folder).hash


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n\n\ndef make( x,\n    y = 1 ):  # another\n    'what it does'\n    return (x\n        +y)\n",
        "def make(x, y=1): return x + y\n",
        "def renamed(x, y=1):\n    return x + y\nmake = renamed\n",
        "from headwater.core.task import task\n@task(retries=3)\ndef made(x, y=1):\n    return x + y\nmake = made.fn\n",
        "import headwater.core.task as t\n@t.task\ndef made(x, y=1):\n    return x + y\nmake = made.fn\n",
        "def outer():\n    def make(x, y=1):\n        return x + y\n    return make\nmake = outer()\n",
    ],
)
def test_what_is_no_change(tmp_path: Path, text: str) -> None:
    assert hash_of(tmp_path, text) == hash_of(tmp_path, PLAIN)


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ("@task", 1),
        ("@core.task", 1),
        ("@task(retries=2)", 1),
        ("@task(\n    retries=max(1, 2),\n    tags=['a', 'b'],\n)", 4),
        ("@task(tags=[str(max(1, 2))])", 0),
        ("@task  # why", 0),
        ("@ task", 0),
        ("@(task)", 0),
    ],
)
def test_decorators_of_our_own_do_not_count_however_they_are_read(tmp_path: Path, above: str, lines: int) -> None:
    text = f"from headwater import core, task\nimport headwater.core.task as core\n{above}\n{PLAIN}"
    made = load(tmp_path, text)
    assert source_of(made, tmp_path).hash == hash_of(tmp_path, PLAIN)
    assert source_of(made, tmp_path).line == text[: text.index("def make")].count("\n") + 1
    assert source._own_decorators(f"{above}\n{PLAIN}".splitlines(keepends=True), made.fn.__globals__) == lines


def test_another_decorator_counts_above_and_below_our_own(tmp_path: Path) -> None:
    imports, ours, other = (
        "import functools\nfrom headwater import task\n",
        "@task(retries=1)\n",
        "@functools.wraps(print)\n",
    )
    both = {
        hash_of(tmp_path, imports + above + PLAIN) for above in (ours + other, other, other + ours.replace("1", "2"))
    }
    assert len(both) == 1
    assert both != {hash_of(tmp_path, PLAIN)}


@pytest.mark.parametrize(
    "text",
    [
        "def make(x, y=2):\n    return x + y\n",
        "def make(x, y=1):\n    return x - y\n",
        "async def make(x, y=1):\n    return x + y\n",
        "import functools\n@functools.lru_cache\ndef make(x, y=1):\n    return x + y\n",
        "def make(x, y=1):\n    return x + y\n    print('unreachable')\n",
    ],
)
def test_what_is_a_change(tmp_path: Path, text: str) -> None:
    assert hash_of(tmp_path, text) != hash_of(tmp_path, PLAIN)


def test_where_a_function_stands(tmp_path: Path) -> None:
    found = source_of(load(tmp_path, "import functools\n\n@functools.lru_cache\ndef make():\n    return 1\n"), tmp_path)
    assert (found.line, found.name) == (4, "make")
    assert (tmp_path / found.file).is_file()
    outside = source_of(load(tmp_path, PLAIN), tmp_path / "elsewhere")
    assert Path(outside.file).is_absolute()


def test_code_without_source_is_told_apart_by_what_it_does() -> None:
    def made(text: str) -> Any:
        names: dict[str, Any] = {}
        exec(text, names)
        return source_of(names["make"], Path("/nowhere"))

    same = "def make(x, y=1):\n\n\n    'what it does'\n    return x + y\n"
    assert made(PLAIN).file == "<string>"
    assert made(PLAIN).hash == made("\n\n" + PLAIN).hash
    assert made(same).hash == made(same.replace("what it does", "other words")).hash
    assert made(PLAIN).hash != made(PLAIN.replace("+", "-")).hash
    assert (
        made("def make():\n    return [1 for _ in 'a']").hash != made("def make():\n    return [2 for _ in 'a']").hash
    )
    assert source_of(functools.partial(int, "3"), Path("/")).hash
    assert source_of(len, Path("/")).name == "len"


def test_the_hash_is_the_same_in_another_process(tmp_path: Path) -> None:
    text = "def make(x):\n    return x in {'a', 'b', 'c'} and [y for y in (1, 2)]\n"
    script = tmp_path / "script.py"
    script.write_text(
        text + "from headwater.core.source import source_of\nfrom pathlib import Path\n"
        "names = {}\nexec(compile('def made(x): return x in {\"a\", \"b\", \"c\"}', '<typed>', 'exec'), names)\n"
        "print(source_of(make, Path.cwd()).hash, source_of(names['made'], Path.cwd()).hash)\n"
    )
    found = {
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert found.pop().split()[0] == hash_of(tmp_path, text)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20), st.integers(0, 3))
def test_comments_and_blank_lines_never_count(tmp_path_factory: pytest.TempPathFactory, words: str, blank: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "comments"
    folder.mkdir(exist_ok=True)
    changed = "\n" * blank + f"def make(x, y=1):\n    # {words}\n{chr(10) * blank}    return x + y  # {words}\n"
    assert hash_of(folder, changed) == hash_of(folder, PLAIN)
