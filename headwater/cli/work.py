"""`materialize` and `backfill`: bringing assets up to date, with a plan that a dry run shows and a run carries out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from headwater import clock
from headwater.assets import backfilling
from headwater.assets.backfill import BackfillPlan, BackfillRequest, plan, plan_from_json
from headwater.assets.facts import Facts
from headwater.assets.partitions import PartitionSet
from headwater.cli.board import chosen
from headwater.cli.common import COMMON, WHERE, Common, Where, open_project
from headwater.cli.output import emit, instant, say, table
from headwater.cli.progress import watching
from headwater.errors import RefusedError, UsageError
from headwater.lineage.backfills import backfill_record
from headwater.project import Project

Only = Literal["missing", "failed", "stale"]


def materialize(
    selection: str,
    /,
    *,
    partition: Annotated[str | None, Parameter(name=["--partition", "-p"])] = None,
    only: Annotated[tuple[Only, ...], Parameter(negative=())] = (),
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    parallel: int = 1,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Bring assets up to date, without a flow: inputs are read from their assets.

    A partitioned asset without --partition gets the partitions that are missing or stale.

    Parameters
    ----------
    selection
        Which assets: delays, +delays, tag:tier=gold, stale() …
    partition
        A partition, a range or a list: 2013-01-05, 2013-01-01..2013-01-31.
    only
        Only what is missing, failed or stale.
    dry_run
        Show the plan and do nothing.
    parallel
        How many at a time.
    """
    project = open_project(where, writes=True)
    facts = project.catalog.facts()
    names = _made(facts, selection)
    if not names:
        return _nothing(common)
    parts = _parse(facts, names, partition)
    wanted = frozenset(only)
    if parts is None and not wanted and any(facts.definitions[name].partitions for name in names):
        wanted = frozenset({"missing", "stale"})
    found = plan(facts, BackfillRequest(targets=names, partitions=parts, only=wanted), clock.now_us())
    name = f"materialize {selection}"
    return _carry_out(project, facts, found, name, names, partition, dry_run, parallel, None, "materialize", common)


def backfill(
    selection: str,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    partition: str | None = None,
    upstream: Annotated[bool, Parameter(negative=())] = False,
    downstream: Annotated[bool, Parameter(negative=())] = False,
    only: Annotated[tuple[Only, ...], Parameter(negative=())] = (),
    parallel: int = 1,
    order: Literal["oldest", "newest"] = "oldest",
    max_failures: int | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Fill a range of partitions. It is recorded before it starts: killed at any moment, `backfill resume` finishes it.

    Parameters
    ----------
    selection
        Which assets.
    from_
        The first partition of the range.
    to
        The last partition of the range, included.
    partition
        Partitions in one text instead: 2013-01-01..2013-01-31,2013-03-01.
    upstream
        Also what they read, directly or not.
    downstream
        Also what reads them, directly or not.
    only
        Only what is missing, failed or stale.
    parallel
        How many partitions at a time.
    order
        Which partitions first.
    max_failures
        Stop launching after so many failures.
    dry_run
        Show the plan and do nothing.
    """
    project = open_project(where, writes=True)
    facts = project.catalog.facts()
    names = _made(facts, selection)
    if not names:
        return _nothing(common)
    text = _range(partition, from_, to)
    request = BackfillRequest(
        targets=names,
        partitions=_parse(facts, names, text),
        upstream=upstream,
        downstream=downstream,
        only=frozenset(only),
        order=order,
    )
    found = plan(facts, request, clock.now_us())
    name = f"backfill {selection}"
    return _carry_out(project, facts, found, name, names, text, dry_run, parallel, max_failures, "backfill", common)


def backfill_list(*, common: Common = COMMON) -> int:
    """List all backfills, the newest first."""
    value = open_project().reader.backfills()
    headers = ("id", "state", "assets", "range", "completed", "failed", "blocked", "requested")
    rows = [
        (row["id"], row["state"], ", ".join(row["assets"]), row["range"], *_numbers(row["partitions"]))
        for row in value["backfills"]
    ]
    emit(value, common.json, lambda: table(headers, rows) if rows else "no backfills yet")
    return 0


def backfill_show(backfill_id: str, /, *, common: Common = COMMON) -> int:
    """Show one backfill.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    """
    project = open_project()
    value = project.reader.backfill(backfill_record(project.projection, backfill_id).backfill_id)
    emit(value, common.json, lambda: _backfill_text(value))
    return 0


def backfill_resume(
    backfill_id: str, /, *, parallel: int | None = None, common: Common = COMMON, where: Where = WHERE
) -> int:
    """Finish what a backfill left, and try again what failed in it: the next attempt of the same run.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    parallel
        How many partitions at a time; as before when it is left out.
    """
    project = open_project(where, writes=True)
    facts = project.catalog.facts()
    record = backfill_record(project.projection, backfill_id)
    options = record.options
    request = backfilling.Request(
        backfill_id=record.backfill_id,
        name=record.name,
        targets=record.targets,
        plan=plan_from_json(record.plan, facts.definitions),
        range=record.range,
        parallel=parallel or options.get("parallel") or 1,
        max_failures=options.get("max_failures"),
        type=options.get("type") or "backfill",
    )
    done = {unit: state for unit, state in record.outcomes.items() if state in ("completed", "skipped")}
    with watching(request.plan.total, common.json) as watch:
        outcome = backfilling.carry_out(
            project,
            request,
            facts.definitions,
            attempt=record.attempt + 1,
            done=done,
            published=backfilling.published_before(request, facts, done),
            watch=watch,
        )
    return _report(outcome, request, common)


def _carry_out(
    project: Project,
    facts: Facts,
    found: BackfillPlan,
    name: str,
    targets: tuple[str, ...],
    range_: str | None,
    dry_run: bool,
    parallel: int,
    max_failures: int | None,
    type_: str,
    common: Common,
) -> int:
    if parallel < 1:
        raise UsageError(f"--parallel {parallel} is not a number of partitions at a time", hint="give 1 or more")
    backfilling.check_producible(facts.definitions, [step.asset for step in found.steps])
    if dry_run or not found.total:
        emit(_plan_json(found, targets, range_), common.json, lambda: _plan_text(found))
        return 0
    request = backfilling.request(
        project,
        found,
        name=name,
        targets=targets,
        range=range_,
        parallel=parallel,
        max_failures=max_failures,
        type=type_,
    )
    with watching(found.total, common.json) as watch:
        outcome = backfilling.carry_out(project, request, facts.definitions, watch=watch)
    return _report(outcome, request, common)


def _report(outcome: backfilling.Outcome, request: backfilling.Request, common: Common) -> int:
    counts = dict(outcome.counts)
    value = {
        "id": outcome.backfill_id,
        "state": outcome.state,
        "assets": list(request.targets),
        "range": request.range,
        "partitions": counts,
        "errors": [{"subject": subject, "message": message} for subject, message in outcome.errors],
    }
    emit(value, common.json, lambda: _outcome_text(value))
    if outcome.state == "completed":
        return 0
    say(f"what is left, and what failed, is run by: headwater backfill resume {outcome.backfill_id}")
    return RefusedError.exit_code if counts["failed"] == 0 and counts["blocked"] and not _left(counts) else 1


def _left(counts: Mapping[str, int]) -> int:
    ended = sum(counts[state] for state in ("completed", "failed", "skipped", "blocked"))
    return counts["requested"] - ended


def _nothing(common: Common) -> int:
    emit(_plan_json(BackfillPlan(), (), None), common.json, lambda: _plan_text(BackfillPlan()))
    return 0


def _made(facts: Facts, selection: str) -> tuple[str, ...]:
    """The selected assets that something makes; sources among them are left out. None, when nothing is stale."""
    names = chosen(facts, selection, clock.now_us())
    made = tuple(name for name in names if facts.definitions[name].code_version is not None)
    if not names and "stale(" in selection:
        return ()
    if not made:
        raise UsageError(
            f"nothing produces '{selection}': {', '.join(names) or 'no asset'} is a source",
            hint="select what @materialize makes",
        )
    return made


def _parse(facts: Facts, names: tuple[str, ...], text: str | None) -> PartitionSet | None:
    if text is None:
        return None
    for name in reversed(names):
        definition = facts.definitions[name].partitions
        if definition is not None:
            return definition.parse(text)
    raise UsageError(f"{', '.join(names)}: no partitions, so {text} can't be meant", hint="leave the partition out")


def _range(partition: str | None, first: str | None, last: str | None) -> str | None:
    if first is None and last is None:
        return partition
    if partition is not None:
        raise UsageError("--partition and --from/--to say the same thing", hint="give one of the two")
    if first is None or last is None:
        raise UsageError("--from and --to belong together", hint="give both; the last partition is included")
    return f"{first}..{last}"


def _plan_json(found: BackfillPlan, targets: tuple[str, ...], range_: str | None) -> dict[str, Any]:
    return {
        "id": None,
        "state": "planned",
        "assets": list(targets),
        "range": range_,
        "partitions": {
            "requested": found.total,
            "completed": 0,
            "failed": 0,
            "running": 0,
            "skipped": 0,
            "blocked": 0,
        },
        "steps": [
            {
                "asset": step.asset,
                "partitions": str(step.partitions),
                "count": len(step.partitions),
                "reason": step.reason.to_json(),
            }
            for step in found.steps
        ],
    }


def _plan_text(found: BackfillPlan) -> str:
    if not found.total:
        return "everything is up to date: nothing to do"
    rows = [(step.asset, len(step.partitions), str(step.partitions), step.reason.text) for step in found.steps]
    return table(("asset", "count", "partitions", "why"), rows) + f"\n\n{found.total:,} to make"


def _numbers(counts: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(counts[state] for state in ("completed", "failed", "blocked", "requested"))


def _outcome_text(value: Mapping[str, Any]) -> str:
    counts = value["partitions"]
    parts = [f"{counts[state]:,} {state}" for state in ("completed", "failed", "blocked", "skipped") if counts[state]]
    lines = [f"{value['state']}: {', '.join(parts) or 'nothing'} of {counts['requested']:,}   ({value['id']})"]
    lines += [f"  {error['subject']}: {error['message'].splitlines()[0]}" for error in value["errors"][:10]]
    if len(value["errors"]) > 10:
        lines.append(f"  and {len(value['errors']) - 10} more errors")
    return "\n".join(lines)


def _backfill_text(value: Mapping[str, Any]) -> str:
    counts = value["partitions"]
    lines = [
        f"{value['id']}  {value['state']}",
        f"assets: {', '.join(value['assets'])}   range: {value['range'] or '-'}",
    ]
    lines.append(", ".join(f"{count:,} {state}" for state, count in counts.items()))
    if value.get("started"):
        lines.append(f"started {instant(value['started'])}")
    return "\n".join(lines)


backfill_app = App(name="backfill")
"""`backfill` itself, and what can be asked and done about those that were requested."""
backfill_app.default(backfill)
backfill_app.command(backfill_list, name="list")
backfill_app.command(backfill_show, name="show")
backfill_app.command(backfill_resume, name="resume")
