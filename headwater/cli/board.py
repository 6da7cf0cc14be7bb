"""`status`, `freshness`, `explain`: what is there, how fresh it is, and why."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, get_args

from cyclopts import Parameter

from headwater.assets import board
from headwater.assets.facts import Facts
from headwater.assets.judgements import selected
from headwater.assets.partition_board import partition_board
from headwater.assets.selection_syntax import And, Not, Or, parse_selection
from headwater.cli.board_text import (
    counts_text,
    freshness_text,
    groups_text,
    history_text,
    partitions_text,
    status_text,
)
from headwater.cli.common import moment, open_project
from headwater.cli.options import COMMON, WHERE, Common, Flag, Selection, Where, check_limit
from headwater.cli.output import emit, say, tree
from headwater.cli.terminal import cut
from headwater.clock import rfc3339
from headwater.errors import HeadwaterError, HomeError, RefusedError, UnknownNameError, UsageError
from headwater.lineage.known import is_much
from headwater.wording import listed

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.lineage.catalog import ProjectionCatalog
    from headwater.project import Project

Needs: TypeAlias = Callable[["Mapping[str, AssetDefinition]", Collection[str]], Collection[str]]
_log = logging.getLogger(__name__)
Verdict = Literal["fresh", "warn", "late", "unknown", "none"]


def status(
    selection: Selection = "*",
    /,
    *,
    verdict: Annotated[tuple[Verdict, ...], Parameter(negative=(), show_default=False)] = (),
    all: Flag = False,
    count: Flag = False,
    by: str | None = None,
    as_of: str | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the board: each asset with its partitions, how far its data reaches, its freshness and its staleness.

    Parameters
    ----------
    selection
        Which assets: delays, +delays, delays+2, tag:tier=gold, owner:team:ops, kind:parquet, group:daily, stale(), late(),
        failed(), and or not; * in a word stands for any letters.
    verdict
        Only assets with this verdict; it can be given several times.
    all
        Every asset: a terminal shows the worst that fit on it. Files and pipes get every one in any case.
    count
        Only how many assets have each verdict and how many are stale: in a moment, also of a hundred thousand.
    by
        Only how many of each verdict, for each owner, kind, group or value of a tag: owner, kind, group, tag:KEY.
    as_of
        The time to judge at: 2014-01-01 or 2014-01-01T09:00+01:00. Now, when it is left out.
    """
    at = moment(as_of)
    if count and by is not None:
        raise UsageError("--count counts all, and --by by group", hint="leave one of the two out")
    if count:
        return _count(where, selection, verdict, at, common)
    facts, names = known_of(open_project(where), selection, at)
    value = board.status(facts, names, at)
    none = no_assets(facts)
    if verdict:
        none = f"no asset is {' or '.join(verdict)}" if value["assets"] else none
        value["assets"] = [row for row in value["assets"] if row["freshness"]["verdict"] in verdict]
    if by is not None:
        groups = board.grouped(value, by)
        emit(groups, common.json, lambda: groups_text(groups) if groups["groups"] else none)
        return 0
    emit(value, common.json, lambda: status_text(value, every=all) if value["assets"] else none)
    return 0


def _count(where: Where, selection: str, verdict: tuple[Verdict, ...], at: int, common: Common) -> int:
    catalog = open_project(where).catalog
    verdicts, stale = catalog.verdicts(at).told, catalog.staleness(at)
    if selection == "*":
        there = {name for name, one in catalog.definitions().items() if not one.retired}
        chosen_names: Sequence[str] = [name for name in verdicts if name in there]
    else:
        chosen_names = chosen(facts_for(catalog, selection), selection, at)
    names = [name for name in chosen_names if not verdict or verdicts[name] in verdict]
    value = {
        "as_of": rfc3339(at),
        "assets": len(names),
        "verdicts": {one: sum(verdicts[name] == one for name in names) for one in get_args(Verdict)},
        "stale": sum(stale[name].is_stale for name in names),
    }
    emit(value, common.json, lambda: counts_text(value))
    return 0


def freshness(
    selection: Selection = "*",
    /,
    *,
    as_of: str | None = None,
    fail_on: Annotated[tuple[Verdict, ...], Parameter(negative=(), show_default=False)] = (),
    all: Flag = False,
    partitions: Flag = False,
    history: Flag = False,
    limit: int = 200,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the verdicts alone, each with its witness: the path to what holds the asset back.

    Parameters
    ----------
    selection
        Which assets; see `headwater status --help`.
    as_of
        The time to judge at. Now, when it is left out.
    fail_on
        Exit with 3 when one of the assets has this verdict.
    all
        Every asset, also where a terminal has no room for them.
    partitions
        The verdict on each partition of the assets, the newest first.
    history
        How the verdicts changed, the newest change first. Looking at what is so now records it.
    limit
        With --partitions and --history at most so many rows.
    """
    check_limit(limit, "rows")
    if history and (partitions or fail_on):
        other = "--partitions" if partitions else "--fail-on"
        raise UsageError(f"--history tells what was, and {other} judges what is", hint="leave one of the two out")
    project = open_project(where)
    if as_of is None:
        _record(project)
    at = moment(as_of)
    if history:
        names = None if selection == "*" else chosen(facts_for(project.catalog, selection), selection, at)
        value = project.reader.freshness_history(names, limit=limit)
        emit(value, common.json, lambda: history_text(value) if value["changes"] else "no verdict has changed yet")
        return 0
    facts, found = known_of(project, selection, at)
    if partitions:
        # What fails may stand behind the rows that are shown.
        value = partition_board(facts, found, at, limit=sys.maxsize if fail_on else limit)
        failing = {row["asset"]: row["verdict"] for row in value["partitions"] if row["verdict"] in fail_on}
        value["more"] += max(len(value["partitions"]) - limit, 0)
        del value["partitions"][limit:]
        emit(value, common.json, lambda: partitions_text(value) if value["partitions"] else "there are no partitions")
        return _failing(failing, fail_on)
    value = board.freshness(facts, found, at)
    emit(value, common.json, lambda: freshness_text(value, every=all) if value["assets"] else no_assets(facts))
    return _failing([row["name"] for row in value["assets"] if row["freshness"]["verdict"] in fail_on], fail_on)


def _failing(names: Collection[str], fail_on: tuple[Verdict, ...]) -> int:
    if names:
        say(f"{listed(names)}: {' or '.join(fail_on)}, which --fail-on names")
        return RefusedError.exit_code
    return 0


def _record(project: Project) -> None:
    """Record how verdicts changed, where this home can be written: to look is possible in any case."""
    if not project.settings.home_path.is_dir():
        return
    try:
        project.record_verdicts()
    except HeadwaterError as error:
        _log.debug("the verdicts were not recorded: %s", error)


def explain(subject: Selection, /, *, as_of: str | None = None, common: Common = COMMON, where: Where = WHERE) -> int:
    """Print why an asset, or one of its partitions, is fresh or late, stale or up to date, as a tree of reasons.

    Of a task run, print why it used a cached result, or did not.

    Parameters
    ----------
    subject
        An asset, or one of its partitions: delays@2013-01-05. Or a task run: RUN/TASK, where RUN is the id of a run, or its
        beginning, and TASK the name of a task or the beginning of a task run's id.
    as_of
        The time to judge at. Now, when it is left out.
    """
    run_id, slash, task = subject.partition("/")
    name, _, key = subject.partition("@")
    # An asset may have such a name: feed/orders.
    if slash and _RUN.fullmatch(run_id) and (_is_run(run_id) or name not in open_project(where).catalog.definitions()):
        if not task:
            raise _no_task(run_id)
        found = open_project(None).reader.explain_task(run_id, task)
        emit(found, common.json, lambda: tree(found["reason"]))
        return 0
    project, at = open_project(where), moment(as_of)
    with project.projection.session():
        definitions = project.catalog.definitions()
        is_known = name in definitions
        facts = facts_upstream(project.catalog, definitions, [name]) if is_known else Facts(definitions=definitions)
    if not is_known and _RUN.fullmatch(subject) and _is_run(subject):
        raise _no_task(subject)
    value = board.explain(facts, name, key or None, at)
    emit(value, common.json, lambda: tree(value["reason"]))
    return 0


def _no_task(run_id: str) -> UsageError:
    return UsageError(f"'{run_id}' is a run: what is explained is a task run", hint=f"headwater explain {run_id}/TASK")


def _is_run(text: str) -> bool:
    try:
        open_project(None).reader.run_id(text)
    except (UsageError, HomeError):
        return False
    return True


_RUN = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
"""The id of a run, or its beginning."""


def chosen(facts: Facts, selection: str, as_of: int) -> tuple[str, ...]:
    """The assets that a selection names, in the order of the graph."""
    if selection == "*" and not facts.definitions:
        return ()
    found = selected(selection, facts, as_of)
    if not found and selection != "*" and not asks(selection):
        if facts.definitions and isinstance(parse_selection(selection), And | Or | Not):
            hint = "no asset is all that it asks for; headwater assets lists what each one is"
            raise UsageError(f"no asset is in the selection '{cut(selection, 200)}'", hint=hint)
        raise UnknownNameError.of("asset", selection, _selectable(facts), where="the selection")
    return found


def asks(selection: str) -> bool:
    """Whether a selection asks how assets stand: `stale()`, `late()`, `failed()`."""
    return "()" in selection


def facts_for(catalog: ProjectionCatalog, selection: str) -> Facts:
    """The facts that tell what a selection names: definitions alone, unless it asks whether assets are stale, late or failed."""
    return catalog.facts() if asks(selection) else Facts(definitions=catalog.definitions())


def known_of(
    project: Project, selection: str, as_of: int, *, everything: bool = False, needs: Needs | None = None
) -> tuple[Facts, tuple[str, ...]]:
    """What a selection names, and the facts that these are judged by: what is upstream of few is all that they depend on.

    `needs` tells whose facts are needed where that is more; `everything` asks for those of all assets.
    """
    catalog = project.catalog
    everything = everything or selection == "*" or asks(selection)
    with project.projection.session(outlined=True):
        facts = catalog.facts() if everything else Facts(definitions=catalog.definitions())
        names = chosen(facts, selection, as_of)
        if not everything:
            wanted = needs(facts.definitions, names) if needs else names
            facts = facts_upstream(catalog, facts.definitions, wanted)
    return facts, names


def facts_upstream(
    catalog: ProjectionCatalog, definitions: Mapping[str, AssetDefinition], names: Collection[str]
) -> Facts:
    """The facts of these assets and of what is upstream of them, at least."""
    much = is_much(len(names), len(definitions))
    return catalog.facts(None if much else [definitions[name].ref for name in names])


def no_assets(facts: Facts) -> str:
    """What is told where there is no asset to show."""
    if facts.definitions:
        return "no asset is in the selection"
    return "no assets yet: run a flow that materializes one, or name the file that defines them: -f my_flow.py"


def _selectable(facts: Facts) -> set[str]:
    """What a selection may name: the assets, and their tags, owners and kinds."""
    found = set(facts.definitions)
    for one in facts.definitions.values():
        found |= {f"tag:{key}={value}" for key, value in one.tags.items()}
        found |= {f"owner:{owner}" for owner in one.owners} | {f"kind:{one.ref.kind}"}
        found |= set() if one.group is None else {f"group:{one.group}"}
    return found
