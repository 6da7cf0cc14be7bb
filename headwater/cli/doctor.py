"""`doctor`: what is well here and what is not, and what to do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

from headwater.cli.examination import Finding, State, examine
from headwater.cli.options import COMMON, Common
from headwater.cli.output import emit
from headwater.cli.terminal import coloured
from headwater.core import runtime
from headwater.project import Project

_SHAPES = {"ok": ("●", "green"), "warn": ("▲", "yellow"), "fail": ("✖", "red")}


def doctor(*, common: Common = COMMON) -> int:
    """Look at the installation, the home, the journal, the projection, the definitions and the catalogs; change nothing.

    Exits with 1 when something has failed.
    """
    # A project that records nothing: this only looks.
    project = Project.open(create=False)
    runtime.set_current(project)
    found = list(examine(project))
    counts = Counter(one.state for one in found)
    checks = [{key: part for key, part in dataclasses.asdict(one).items() if part is not None} for one in found]
    emit({"ok": not counts["fail"], "checks": checks}, common.json, lambda: "\n".join(_lines(found, counts)))
    return 1 if counts["fail"] else 0


def _lines(found: Sequence[Finding], counts: Counter[State]) -> Iterator[str]:
    width = max(len(one.name) for one in found)
    for one in found:
        shape, colour = _SHAPES[one.state]
        text = " ".join(one.text.splitlines())
        yield f"{coloured(f'{shape} {one.state:<4}', colour)}  {one.name:<{width}}  {text}"
        if one.hint:
            yield f"{'':8}{'':{width}}  hint: {one.hint}"
    yield ""
    yield f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed"
