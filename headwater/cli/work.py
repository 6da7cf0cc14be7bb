"""`materialize`: bringing assets up to date, with a plan that a dry run shows and a run carries out."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headwater import clock
from headwater.assets.backfill import BackfillRequest, plan
from headwater.assets.backfilling import RunnerName
from headwater.cli.carrying import Intent, Several, carry_out, made, nothing, parse
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where


def materialize(
    selection: Selection,
    /,
    *,
    partition: Annotated[str | None, Parameter(name=["--partition", "-p"])] = None,
    only: Several = (),
    dry_run: Flag = False,
    parallel: int = 1,
    runner: RunnerName | None = None,
    batch: int | None = None,
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
    runner
        Where they are made: inline, in threads (as usual with --parallel), or in processes, where a crash fails one alone.
    batch
        How many partitions a call gets at most, where a function takes several.
    """
    project = open_project(where, writes=True)
    facts, names = made(project, selection)
    if not names:
        return nothing(common)
    parts = parse(facts, names, partition)
    wanted = frozenset(only)
    if parts is None and not wanted and any(facts.definitions[name].partitions for name in names):
        wanted = frozenset({"missing", "stale"})
    request = BackfillRequest(targets=names, partitions=parts, only=wanted)
    intent = Intent(
        name=f"materialize {selection}",
        type="materialize",
        targets=names,
        range=partition,
        plan=plan(facts, request, clock.now_us()),
        parallel=parallel,
        runner=runner,
        batch=batch,
        dry_run=dry_run,
    )
    return carry_out(project, facts, intent, common)
