"""Carrying out what was asked for: what is selected, the plan that a dry run shows and a run follows, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from headwater import clock
from headwater.assets import backfilling
from headwater.assets.backfill import BackfillPlan
from headwater.assets.definitions import AssetDefinition
from headwater.assets.dependencies import planned_by
from headwater.assets.facts import Facts
from headwater.assets.partitions import PartitionSet
from headwater.cli.board import asks, known_of
from headwater.cli.options import Common
from headwater.cli.output import duration, emit, say
from headwater.cli.progress import ended_in, watching
from headwater.cli.tables import table
from headwater.errors import Cancelled, HeadwaterError, PartitionError, RefusedError, UsageError
from headwater.project import Project
from headwater.records import dataclass
from headwater.wording import listed

Several = Annotated[tuple[Literal["missing", "failed", "stale"], ...], Parameter(negative=(), show_default=False)]
"""Which partitions, by what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a command is about to do: a plan, and how it shall be carried out."""

    name: str
    """The name of the run."""
    type: str
    """`materialize` or `backfill`."""
    targets: tuple[str, ...]
    range: str | None
    plan: BackfillPlan
    parallel: int
    runner: backfilling.RunnerName | None = None
    batch: int | None = None
    max_failures: int | None = None
    dry_run: bool


def carry_out(project: Project, facts: Facts, intent: Intent, common: Common) -> int:
    """Carry a plan out, or only show it, and report; the exit code. Raises UsageError for options that make no sense."""
    check_parallel(intent.parallel)
    if intent.batch is not None and intent.batch < 1:
        raise UsageError(
            f"--batch {intent.batch} is not a number of partitions", hint="give 1 or more, or leave it out"
        )
    if intent.max_failures is not None and intent.max_failures < 1:
        hint = "give 1 or more, or leave it out: then all is tried"
        raise UsageError(f"--max-failures {intent.max_failures} is not a number of failures", hint=hint)
    backfilling.check_producible(facts.definitions, [step.asset for step in intent.plan.steps])
    if intent.dry_run or not intent.plan.total:
        known = project.reader.usual_seconds(step.asset for step in intent.plan.steps)
        shown = replace(intent, plan=intent.plan.estimated(known))
        emit(_plan_json(shown), common.json, lambda: _plan_text(shown.plan, shown.parallel))
        return 0
    request = backfilling.request(
        project,
        intent.plan,
        name=intent.name,
        targets=intent.targets,
        range=intent.range,
        parallel=intent.parallel,
        runner=intent.runner,
        batch=intent.batch,
        max_failures=intent.max_failures,
        type=intent.type,
    )
    return drive(project, request, facts.definitions, common)


def check_parallel(parallel: int) -> None:
    """Raise UsageError unless so many partitions can be made at a time."""
    if parallel < 1:
        raise UsageError(f"--parallel {parallel} is not a number of partitions at a time", hint="give 1 or more")


def drive(
    project: Project,
    request: backfilling.Request,
    definitions: Mapping[str, AssetDefinition],
    common: Common,
    **how: Any,
) -> int:
    """Carry a backfill out before somebody's eyes, and print how it went; the exit code. Who stops it hears how it goes on."""
    try:
        with watching(request.plan, common.json) as watch:
            outcome = backfilling.carry_out(project, request, definitions, watch=watch, **how)
    except (KeyboardInterrupt, SystemExit, Cancelled):
        say(f"what is left is run by: headwater backfill resume {request.backfill_id}")
        raise
    return _report(outcome, request, common)


def _report(outcome: backfilling.Outcome, request: backfilling.Request, common: Common) -> int:
    """Print how it went, and how it goes on; the exit code."""
    counts = dict(outcome.counts)
    value = {
        "id": outcome.backfill_id,
        "state": outcome.state,
        "assets": list(request.targets),
        "range": request.range,
        "partitions": counts,
        "errors": [{"subject": subject, **_unnested(error)} for subject, error in outcome.errors],
    }
    emit(value, common.json, lambda: _outcome_text(value))
    if outcome.state == "completed":
        return 0
    if outcome.stopped_by is not None:
        say(f"it was {outcome.state} by {outcome.stopped_by}")
    say(f"what is left, and what failed, is run by: headwater backfill resume {outcome.backfill_id}")
    is_over = ended_in(counts) == counts["requested"]
    return RefusedError.exit_code if is_over and counts["blocked"] and not counts["failed"] else 1


def _unnested(error: HeadwaterError) -> dict[str, str]:
    found: dict[str, str] = error.to_json()["error"]
    return {"message": found.pop("message"), **found}


def nothing(common: Common) -> int:
    """Say that there is nothing to do, for a selection by what is known now that is empty."""
    empty = Intent(name="", type="", targets=(), range=None, plan=BackfillPlan(), parallel=1, dry_run=True)
    emit(_plan_json(empty), common.json, lambda: "no asset is in the selection: nothing to do")
    return 0


def made(project: Project, selection: str, *, downstream: bool = False) -> tuple[Facts, tuple[str, ...]]:
    """The selected assets that something makes, and the facts that a plan for them needs, also one that goes downstream.

    Sources are left out. There are none, when nothing is stale, late or failed.
    """
    facts, names = known_of(project, selection, clock.now_us(), everything=downstream, needs=planned_by)
    return facts, _producible(facts, names, selection)


def _producible(facts: Facts, names: tuple[str, ...], selection: str) -> tuple[str, ...]:
    found = tuple(name for name in names if not facts.definitions[name].is_source)
    if not names and asks(selection):
        return ()
    if not names:
        raise UsageError(
            "there are no assets to make",
            hint="name the file that defines them: -f my_flow.py, or list it in [tool.headwater] modules",
        )
    if not found:
        verb = "is a source" if len(names) == 1 else "are sources"
        hint = "select what @materialize makes"
        raise UsageError(f"nothing produces '{selection}': {listed(names)} {verb}", hint=hint)
    return found


def parse(facts: Facts, names: tuple[str, ...], text: str | None) -> PartitionSet | None:
    """The partitions that a text names, read by the last selected asset that has partitions. Raises UsageError."""
    if text is None:
        return None
    for name in reversed(names):
        definition = facts.definitions[name].partitions
        if definition is not None:
            try:
                return definition.parse(text)
            except PartitionError as error:
                error.where = f"the partitions of {name}: {error.where or definition}"
                raise
    raise UsageError(f"{listed(names)}: no partitions, so {text} can't be meant", hint="leave the partition out")


def _plan_json(intent: Intent) -> dict[str, Any]:
    return {
        "id": None,
        "state": "planned",
        "assets": list(intent.targets),
        "range": intent.range,
        "partitions": {
            "requested": intent.plan.total,
            "completed": 0,
            "failed": 0,
            "running": 0,
            "skipped": 0,
            "blocked": 0,
            "cancelled": 0,
        },
        "steps": [
            {
                "asset": step.asset,
                "partitions": str(step.partitions),
                "count": len(step.partitions),
                "usual_seconds": step.usual,
                "reason": step.reason.to_json(),
            }
            for step in intent.plan.steps
        ],
        "estimate": _estimate(intent.plan, intent.parallel),
    }


def _estimate(found: BackfillPlan, parallel: int) -> float | None:
    """Seconds that it will take; None when something in it was never made."""
    return None if found.seconds is None else found.seconds / max(1, min(parallel, found.total))


def _plan_text(found: BackfillPlan, parallel: int) -> str:
    if not found.total:
        return "everything is up to date: nothing to do"
    rows = [(step.asset, len(step.partitions), str(step.partitions), step.reason.text) for step in found.steps]
    headers = ("asset", "count", "partitions", "why")
    seconds = _estimate(found, parallel)
    how_long = "" if seconds is None else f", in about {duration(seconds)} if it goes as usual"
    missing = [
        f"{step.asset}: {one.text}"
        for step in found.steps
        for one in step.reason.because
        if one.kind == "input_missing"
    ]
    text = table(headers, rows, numbers=("count",), spare=("partitions",))
    return "\n".join([text, "", f"{found.total:,} to make{how_long}", *missing])


def _outcome_text(value: Mapping[str, Any]) -> str:
    counts = value["partitions"]
    states = ("completed", "failed", "blocked", "skipped", "cancelled")
    parts = [f"{counts[state]:,} {state}" for state in states if counts[state]]
    lines = [f"{value['state']}: {', '.join(parts) or 'nothing'} of {counts['requested']:,}   ({value['id']})"]
    for error in value["errors"][:10]:
        lines.append(f"  {error['subject']}: {error['message'].splitlines()[0]}")
        lines += [f"    {name}: {error[name]}" for name in ("where", "hint") if name in error]
    if len(value["errors"]) > 10:
        lines.append(f"  and {len(value['errors']) - 10} more errors")
    return "\n".join(lines)
