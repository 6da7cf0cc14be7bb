"""The figures as Markdown: a table of the goals, then each row with all of its sides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample
from benchmarks.rows import Row, Side

_TIMES = ("wall_ms", "cpu_ms")
_WORDS = {
    "server_cpu_ms": "server CPU",
    "server_mb": "server",
    "refresh_cpu_ms": "projection CPU",
    "refresh_wall_ms": "projection wall",
    "import_cpu_ms": "import CPU",
    "build_cpu_ms": "build CPU",
    "read_cpu_ms": "read CPU",
    "read_wall_ms": "read wall",
    "judge_cpu_ms": "judged CPU",
    "judge_wall_ms": "judged wall",
    "command_wall_ms": "command wall",
    "run_mb": "at the run's end",
    "projection_mb": "with the projection",
    "memory_mb": "peak",
    "events_per_s": "events",
    "unsynced_wall_ms": "wall without syncs",
    "connect_wall_ms": "open",
    "ingest_wall_ms": "taken in",
    "close_wall_ms": "close",
    "before_mb": "peak before",
    "file_mb": "file",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one side: its figures, or why there are none."""

    side: Side
    sample: Sample | None
    turns: int = 0
    missing: str = ""

    def figure(self, name: str) -> float | None:
        """One figure, as large as the whole work's."""
        found = None if self.sample is None else self.sample.figures.get(name)
        return None if found is None else found * self.side.times


@dataclass(frozen=True, slots=True)
class Judged:
    """A row with what came of its sides."""

    row: Row
    outcomes: Sequence[Outcome]

    def of(self, who: str) -> Outcome | None:
        """The best side of somebody's: the least, or for a rate the most."""
        mine = [one for one in self.outcomes if one.side.who == who and not one.side.aside]
        known = [one for one in mine if one.figure(self.row.figure) is not None]
        sign = -1 if self.row.unit == "/s" else 1
        return (
            min(known, key=lambda one: sign * (one.figure(self.row.figure) or 0)) if known else next(iter(mine), None)
        )

    @property
    def judged(self) -> float | None:
        """What is held against the goal: Headwater's figure, its share of the raw work's, or what it needs beyond that."""
        if self.row.of_raw:
            return self.ratio("raw")
        name = self.row.over_raw
        if not name:
            return self._figure("Headwater")
        ours, raw = (None if one is None else one.figure(name) for one in (self.of("Headwater"), self.of("raw")))
        return None if ours is None or raw is None else ours - raw

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None when there is none, or no figure."""
        if self.row.goal is None or self.judged is None:
            return None
        return self.judged >= self.row.goal if self.row.unit == "/s" else self.judged <= self.row.goal

    def ratios(self) -> Iterator[tuple[str, float, float | None]]:
        """For each peer that stood beside the goal: the ratio to it that the goal was there, and the one reached here."""
        for who, there in self.row.beside:
            here = self._figure(who)
            reached = None if not here or not self.judged else self._times(self.judged, here)
            yield who, self._times(self.row.goal or 0, there), reached

    def _times(self, ours: float, other: float) -> float:
        return ours / other if self.row.unit == "/s" else other / ours

    def _figure(self, who: str) -> float | None:
        found = self.of(who)
        return None if found is None else found.figure(self.row.figure)

    def ratio(self, who: str) -> float | None:
        """How many times Headwater's figure somebody's is; for a rate, how many times less."""
        ours, other = self._figure("Headwater"), self._figure(who)
        return self._times(ours, other) if ours and other else None


def render(rows: Iterable[Judged], machine: Iterable[tuple[str, str]], command: str) -> str:
    """The whole document."""
    judged = list(rows)
    parts = (_head(judged, command), _summary(judged), _ratios(judged), _machine(machine), _details(judged))
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(judged: Sequence[Judged], command: str) -> list[str]:
    verdicts = [one.met for one in judged if one.row.goal is not None]
    missed = [one.row.measure for one in judged if one.met is False]
    unknown = verdicts.count(None)
    lines = [
        "# What things cost",
        "",
        f"Written by `{command}`; not edited by hand. [README.md](README.md) says how it is measured.",
        "",
        f"{verdicts.count(True)} of {len(verdicts)} goals met." + (f" {unknown} not measured." if unknown else ""),
    ]
    if missed:
        lines += ["Missed: " + "; ".join(missed) + "."]
    return [*lines, ""]


def _summary(judged: Iterable[Judged]) -> list[str]:
    lines = [
        "| measure | goal | Headwater | raw work | Headwater to raw | Prefect | Dagster | goal met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in judged:
        row = one.row
        goal = "" if row.goal is None else _goal(row)
        others = [_cell(one.of("raw"), row), _to_raw(one), *(_beside(one, who) for who in _peers(one))]
        met = {None: "", True: "yes", False: "**no**"}[one.met]
        if row.goal is not None and one.judged is None:
            met = "not measured"
        lines.append(f"| {row.measure} | {goal} | {_ours(one)} | {' | '.join(others)} | {met} |")
    return [
        *lines,
        "",
        "(12x): 12 times Headwater's figure; for a rate, 12 times slower. Of several ways in which one library does a row's "
        "work the quickest is here; all are below.",
        "",
    ]


def _ratios(judged: Iterable[Judged]) -> list[str]:
    lines = [
        f"| {one.row.measure} | {who} | {_times(wanted)} | {_times(reached) if reached else 'not measured'} | "
        f"{'' if reached is None else 'yes' if reached >= wanted else '**no**'} |"
        for one in judged
        for who, wanted, reached in one.ratios()
    ]
    if not lines:
        return []
    return [
        "## The goals as ratios",
        "",
        "The goals were set beside what the peers, or the raw work, took on another machine. How many times Headwater's figure "
        "(over raw, where the goal is) theirs was to be there, and is here:",
        "",
        "| measure | beside | goal | here | reached |",
        "|---|---|---|---|---|",
        *lines,
        "",
    ]


def _peers(one: Judged) -> tuple[str, str]:
    # The official client stands where the two orchestrators have nothing of their own to set beside.
    if any(outcome.side.who == "OpenLineage client" for outcome in one.outcomes):
        return "OpenLineage client", "Dagster"
    return "Prefect", "Dagster"


def _goal(row: Row) -> str:
    if row.of_raw:
        return f"≥ {row.goal:.0%} of raw"
    if row.unit == "/s":
        return f"≥ {row.goal:,.0f}/s"
    return f"≤ {amount(row.goal or 0, row.unit)}" + (" over raw" if row.over_raw else "")


def _ours(one: Judged) -> str:
    text = _cell(one.of("Headwater"), one.row)
    if one.row.over_raw and one.judged is not None:
        text += f" ({amount(one.judged, one.row.unit)} over raw)"
    return text


def _beside(one: Judged, who: str) -> str:
    outcome, ratio = one.of(who), one.ratio(who)
    named = f"{who}: " if who == "OpenLineage client" else ""
    text = _cell(outcome, one.row)
    server = None if outcome is None else outcome.figure("server_mb" if one.row.unit == "MB" else "server_cpu_ms")
    if server is not None and one.row.figure != "wall_ms":
        text += f" + {amount(server, one.row.unit)} server"
    return named + text + (f" ({_times(ratio)})" if ratio is not None else "")


def _to_raw(one: Judged) -> str:
    ratio = one.ratio("raw")
    return _times(ratio if one.row.unit == "/s" else 1 / ratio) if ratio else "-"


def _cell(outcome: Outcome | None, row: Row) -> str:
    if outcome is None:
        return "-"
    value = outcome.figure(row.figure)
    return outcome.missing or "not said" if value is None else amount(value, row.unit)


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def amount(value: float, unit: str) -> str:
    """A figure with its unit, to three digits.

    >>> amount(0.0543, "ms"), amount(12_900, "ms"), amount(96.65, "MB"), amount(12_811.7, "/s")
    ('0.054 ms', '12.9 s', '97 MB', '12,812/s')
    """
    if unit == "/s":
        return f"{value:,.0f}/s"
    if unit == "MB":
        return f"{value:.0f} MB"
    if abs(value) >= 999.5:
        return f"{value / 1_000:.3g} s"
    return f"{value:.3f} ms" if abs(value) < 1 else f"{value:#.3g}".rstrip(".") + " ms"


def _machine(machine: Iterable[tuple[str, str]]) -> list[str]:
    return ["## Machine", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine), ""]


def _details(judged: Iterable[Judged]) -> list[str]:
    lines = ["## Each row", ""]
    for one in judged:
        lines += [f"### {one.row.measure}", ""]
        if one.row.note:
            lines += [one.row.note, ""]
        lines += [
            "| side | times | wall | CPU | also | whole process: wall, CPU, peak | recorded | how durably |",
            "|---|---|---|---|---|---|---|---|",
            *(_detail(one.row, outcome) for outcome in one.outcomes),
            "",
        ]
    return lines[:-1]


def _detail(row: Row, outcome: Outcome) -> str:
    side = outcome.side
    name = side.label if side.who == "raw" else f"{side.who}: {side.label}"
    if outcome.sample is None:
        return f"| {name} | | {outcome.missing} | | | | | |"
    own = [_figure(outcome, figure) for figure in _TIMES]
    also = [
        f"{_WORDS.get(figure, figure)} {_figure(outcome, figure)}"
        for figure in outcome.sample.figures
        if figure not in (*_TIMES, "process_wall_ms", "process_cpu_ms", "peak_mb")
    ]
    whole = [_plain(outcome.sample.figures, figure) for figure in ("process_wall_ms", "process_cpu_ms", "peak_mb")]
    cells = [name, f"{outcome.turns}", *own, ", ".join(also), ", ".join(whole), outcome.sample.recorded, side.durable]
    return "| " + " | ".join(cells) + " |"


def _figure(outcome: Outcome, name: str) -> str:
    value = outcome.figure(name)
    return "" if value is None else amount(value, _unit(name))


def _plain(figures: Mapping[str, float], name: str) -> str:
    return amount(figures[name], _unit(name)) if name in figures else ""


def _unit(name: str) -> str:
    return "MB" if name.endswith("_mb") else "/s" if name.endswith("_per_s") else "ms"
