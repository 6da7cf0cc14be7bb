"""A process that has imported everything and forks others, so that hundreds of real processes can be killed in seconds.

Run as a program it reads a line of JSON for each process that is wanted, and answers with its exit code. Each child runs a
script, or a `headwater` command, in a folder of its own, to the interpreter's very end or to the failpoint that is armed.
"""

from __future__ import annotations

import collections
import importlib
import json
import os
import pkgutil
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Nursery:
    """What a test asks for processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        failpoint: str = "",
        count: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Run a script (the first argument ends in .py) or a command; its exit code, negative for a signal's number.

        What it says is in `said.txt`; with `count`, how often it reached which failpoint in `reached.json`.
        """
        more = {**(environment or {}), "HEADWATER_FAILPOINT": failpoint}
        order = {"folder": str(folder), "arguments": list(arguments), "environment": more, "count": count}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def said(folder: Path) -> str:
    """What the last process in a folder wrote to its standard output and error."""
    return (folder / "said.txt").read_text(encoding="utf-8")


@contextmanager
def opened() -> Iterator[Nursery]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    command = [sys.executable, "-W", "error", __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Nursery(process)
        process.communicate(timeout=30)


def _main() -> None:
    import headwater

    for name in ("duckdb", "orjson", "polars.io.plugins", "pydantic"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(headwater.__path__, "headwater."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(order)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _live(order: dict[str, Any]) -> None:
    """The child: what is left of it when this returns is the interpreter's exit, with its hooks."""
    os.chdir(order["folder"])
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(ours, theirs)
    from headwater import failpoints

    os.environ.update(order["environment"])
    importlib.reload(failpoints)
    if order["count"]:
        _count()
    arguments = order["arguments"]
    sys.path.insert(0, order["folder"])
    if arguments[0].endswith(".py"):
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.argv = ["headwater", *arguments]
        runpy.run_module("headwater", run_name="__main__")


def _count() -> None:
    import atexit

    from headwater import failpoints

    counts: collections.Counter[str] = collections.Counter()
    failpoints.reach = lambda name: counts.update([name])
    # Registered before anything of Headwater's own, so it is called last.
    atexit.register(lambda: Path("reached.json").write_text(json.dumps(counts)))


if __name__ == "__main__":
    _main()
