"""What things cost: every row beside the raw work, Prefect and Dagster, in the same run. `make bench`; writes RESULTS.md.

A figure alone says as much about the machine as about Headwater; the ratio to what stands beside it does not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, measure, peers
from benchmarks.measure import Sample
from benchmarks.report import Judged, Outcome, render
from benchmarks.rows import EVENTS, ROWS, Row, Side

RESULTS = Path(__file__).parent / "RESULTS.md"
_WARM = "import headwater, headwater.project, headwater.cli, polars, duckdb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 when one of Headwater's own sides failed."""
    options = _options(arguments)
    rows = [row for row in ROWS if not options.only or row.name.partition(".")[0] in options.only]
    rows = [_scaled(row, options.scale) for row in rows] if options.scale else rows
    began, described = time.monotonic(), machine.describe()
    pythons = _pythons(rows, with_peers=not options.no_peers)
    measure.run(measure.own_python(), ("-c", _WARM))
    judged = [_measure(row, pythons, quick=options.quick) for row in rows]
    command = " ".join(
        ["make bench"] if arguments is None and len(sys.argv) == 1 else ["python -m benchmarks.run", *_given(arguments)]
    )
    took = f"{(time.monotonic() - began) / 60:.0f} minutes"
    text = render(judged, [*described, ("the whole run took", took)], command)
    sys.stdout.write(text)
    # A part of the rows, or fewer measurements, must not take the place of a whole run's results.
    if options.out or not (options.only or options.quick or options.no_peers or options.scale):
        (options.out or RESULTS).write_text(text)
    ours = [outcome for one in judged for outcome in one.outcomes if outcome.side.who == "Headwater"]
    return 1 if any(outcome.sample is None for outcome in ours) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    names = sorted({row.name.partition(".")[0] for row in ROWS})
    parser.add_argument("--only", action="append", default=[], choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="each side once, the slow ones not at all: a few minutes")
    parser.add_argument(
        "--scale", type=int, metavar="EVENTS", help="so many in the rows of the projection, without a goal"
    )
    parser.add_argument("--no-peers", action="store_true", help="Headwater and the raw work alone")
    parser.add_argument("--out", type=Path, help="where to write the results; RESULTS.md for a whole run")
    return parser.parse_args(arguments)


def _scaled(row: Row, events: int) -> Row:
    """A row of the projection with so many events."""
    if not any(EVENTS in side.run for side in row.sides):
        return row
    sides = tuple(
        replace(
            side,
            run=tuple(str(events) if part == EVENTS else part for part in side.run),
            timeout=max(1.0, events / int(EVENTS)) * side.timeout,
        )
        for side in row.sides
    )
    return replace(row, measure=row.measure.replace("1M", f"{events:,}"), goal=None, sides=sides)


def _given(arguments: Sequence[str] | None) -> list[str]:
    return list(sys.argv[1:] if arguments is None else arguments)


def _pythons(rows: Sequence[Row], *, with_peers: bool) -> dict[str, Path | str]:
    """The interpreter of each environment that is needed, or why there is none."""
    found: dict[str, Path | str] = {"own": measure.own_python()}
    needed = {side.environment for row in rows for side in row.sides} - {"own"}
    for name in sorted(needed):
        if not with_peers:
            found[name] = "not measured"
            continue
        try:
            found[name] = peers.install(peers.PEERS[name], _say)
        except peers.NotInstalled as error:
            _say(f"{name} can't be installed, so it is not measured: {error}")
            found[name] = f"not measured ({error})"
    return found


def _measure(row: Row, pythons: dict[str, Path | str], *, quick: bool) -> Judged:
    """All sides of a row, in turns, so that what else the machine does hits them alike."""
    samples: dict[Side, list[Sample]] = {side: [] for side in row.sides}
    missing = {side: python for side in row.sides if isinstance(python := pythons[side.environment], str)}
    if quick:
        missing |= {side: "not measured in a quick run" for side in row.sides if side.slow and side not in missing}
    for turn in range(1 if quick else max(side.repeat for side in row.sides)):
        for side in row.sides:
            python = pythons[side.environment]
            if isinstance(python, str) or side in missing or turn >= side.repeat:
                continue
            _say(f"{row.name}: {side.who}, {side.label} ({turn + 1} of {1 if quick else side.repeat})")
            try:
                samples[side].append(measure.run(python, side.run, seed=_seed(side), timeout=side.timeout))
            except (measure.Failed, OSError, ValueError) as error:
                _say(f"  failed: {error}")
                missing[side] = f"failed ({error})".replace("|", "/")
    return Judged(row, [_outcome(side, samples[side], missing.get(side, "")) for side in row.sides])


def _seed(side: Side) -> Path | None:
    return None if side.fresh or side.environment == "own" else peers.PEERS[side.environment].seed


def _outcome(side: Side, samples: Sequence[Sample], missing: str) -> Outcome:
    # A side that failed in one of its turns has failed: what is left of it may be the lucky half.
    if missing or not samples:
        return Outcome(side, None, missing=missing or "not measured")
    return Outcome(side, measure.best(samples), turns=len(samples))


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
