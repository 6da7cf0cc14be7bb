"""`backfill`: filling a range of partitions, and what can be asked and done about those that were requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from headwater import clock
from headwater.assets import backfilling
from headwater.assets.backfill import BackfillPlan, BackfillRequest, plan, plan_from_json
from headwater.assets.backfilling import RunnerName
from headwater.assets.definitions import AssetDefinition
from headwater.cli.backfill_text import backfill_text
from headwater.cli.board import facts_upstream
from headwater.cli.carrying import Intent, Several, carry_out, check_parallel, drive, made, nothing, parse
from headwater.cli.commands import BACKFILL
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, BackfillId, Common, Flag, Selection, Where, check_limit
from headwater.cli.output import emit
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.errors import UsageError
from headwater.lineage.backfills import BackfillRecord, backfill_record
from headwater.project import Project


def backfill(
    selection: Selection,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    partition: str | None = None,
    upstream: Flag = False,
    downstream: Flag = False,
    only: Several = (),
    parallel: int = 1,
    runner: RunnerName | None = None,
    batch: int | None = None,
    order: Literal["oldest", "newest"] = "oldest",
    max_failures: int | None = None,
    dry_run: Flag = False,
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
    runner
        Where they are made: inline, in threads (as usual with --parallel), or in processes, where a crash fails one alone.
    batch
        How many partitions a call gets at most, where a function takes several.
    order
        Which partitions first.
    max_failures
        Stop launching after so many failures.
    dry_run
        Show the plan and do nothing.
    """
    project = open_project(where, writes=True)
    facts, names = made(project, selection, downstream=downstream)
    if not names:
        return nothing(common)
    text = _range(partition, from_, to)
    request = BackfillRequest(
        targets=names,
        partitions=parse(facts, names, text),
        upstream=upstream,
        downstream=downstream,
        only=frozenset(only),
        order=order,
    )
    intent = Intent(
        name=f"backfill {selection}",
        type="backfill",
        targets=names,
        range=text,
        plan=plan(facts, request, clock.now_us()),
        parallel=parallel,
        runner=runner,
        batch=batch,
        max_failures=max_failures,
        dry_run=dry_run,
    )
    return carry_out(project, facts, intent, common)


def backfill_list(*, limit: int = 50, common: Common = COMMON) -> int:
    """List the backfills, the newest first.

    Parameters
    ----------
    limit
        At most so many.
    """
    check_limit(limit, "backfills")
    value = open_project(None).reader.backfills(limit=limit)
    emit(value, common.json, lambda: _list_text(value["backfills"]) or "no backfills yet")
    return 0


def backfill_show(backfill_id: BackfillId, /, *, common: Common = COMMON) -> int:
    """Show one backfill: how far each asset is, and what failed and why; also while another process runs it.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    """
    project = open_project(None)
    record = backfill_record(project.projection, backfill_id)
    value = project.reader.backfill(record.backfill_id)
    emit(value, common.json, lambda: backfill_text(value, record.plan))
    return 0


def backfill_resume(
    backfill_id: BackfillId,
    /,
    *,
    parallel: int | None = None,
    runner: RunnerName | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Finish what a backfill left, and try again what failed in it: the next attempt of the same run.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    parallel
        How many partitions at a time; as before when it is left out.
    runner
        Where they are made: inline, in threads, in processes; as before when it is left out.
    """
    project, definitions, record, found = _opened(backfill_id, where)
    request = _again(record, found, parallel, runner)
    facts = facts_upstream(project.catalog, definitions, [step.asset for step in found.steps])
    done = {unit: state for unit, state in record.outcomes.items() if state in ("completed", "skipped")}
    published = backfilling.published_before(request, facts, done)
    return drive(project, request, definitions, common, attempt=record.attempt + 1, done=done, published=published)


def backfill_retry(
    backfill_id: BackfillId,
    /,
    *,
    parallel: int | None = None,
    runner: RunnerName | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Try again what failed in a backfill, and what that blocked; what it never came to is left to `backfill resume`.

    Parameters
    ----------
    backfill_id
        Its id, or the beginning of it.
    parallel
        How many partitions at a time; as before when it is left out.
    runner
        Where they are made: inline, in threads, in processes; as before when it is left out.
    """
    project, definitions, record, whole = _opened(backfill_id, where)
    found = whole.only({unit for unit, state in record.outcomes.items() if state in ("failed", "blocked")})
    if not found.total:
        value = project.reader.backfill(record.backfill_id)
        emit(value, common.json, lambda: f"nothing failed in {record.backfill_id}: it is {value['state']}")
        return 0
    request = _again(record, found, parallel, runner)
    return drive(project, request, definitions, common, attempt=record.attempt + 1)


def _opened(
    backfill_id: str, where: Where
) -> tuple[Project, Mapping[str, AssetDefinition], BackfillRecord, BackfillPlan]:
    """The project, what is defined, and a backfill of it with its plan, to be gone on with."""
    project = open_project(where, writes=True)
    with project.projection.session():
        definitions = project.catalog.definitions()
        record = backfill_record(project.projection, backfill_id)
    return project, definitions, record, plan_from_json(record.plan, definitions)


def _again(
    record: BackfillRecord, found: BackfillPlan, parallel: int | None, runner: RunnerName | None
) -> backfilling.Request:
    if parallel is not None:
        check_parallel(parallel)
    options = record.options
    return backfilling.Request(
        backfill_id=record.backfill_id,
        name=record.name,
        targets=record.targets,
        plan=found,
        range=record.range,
        parallel=parallel or options.get("parallel") or 1,
        runner=runner or options.get("runner"),
        batch=options.get("batch"),
        max_failures=options.get("max_failures"),
        type=options.get("type") or "backfill",
    )


def _range(partition: str | None, first: str | None, last: str | None) -> str | None:
    if first is None and last is None:
        return partition
    if partition is not None:
        raise UsageError("--partition and --from/--to say the same thing", hint="give one of the two")
    if first is None or last is None:
        raise UsageError("--from and --to belong together", hint="give both; the last partition is included")
    return f"{first}..{last}"


def _list_text(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            row["id"],
            row["state"],
            f"{row['partitions']['completed']:,}/{row['partitions']['requested']:,}",
            row["partitions"]["failed"],
            row["partitions"]["blocked"],
            row["range"],
            ", ".join(row["assets"]),
        )
        for row in found
    ]
    headers = ("id", "state", "completed", "failed", "blocked", "range", "assets")
    spare = ("blocked", "range", "failed")
    return table(headers, rows, numbers=headers[2:5], spare=spare, colours=_COLOURS) if rows else ""


_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "paused": "yellow"}


backfill_app = tree("backfill", BACKFILL, backfill)
"""`backfill` itself, and the commands under it."""
