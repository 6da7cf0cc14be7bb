"""`cache`: which results are kept, and letting them go."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.assets.durations import parse_duration
from headwater.cli.commands import CACHE
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, Duration, Flag
from headwater.cli.output import emit, instant, size_of
from headwater.cli.tables import table
from headwater.cli.trees import tree
from headwater.core.cache_entries import Cleared, Kept, clear, entries
from headwater.errors import UnknownNameError, UsageError
from headwater.wording import counted

if TYPE_CHECKING:
    from headwater.project import Project


def cache_list(task: str | None = None, /, *, common: Common = COMMON) -> int:
    """List the results that are kept under a key, the newest first.

    Parameters
    ----------
    task
        The name of a task: only its results.
    """
    project = open_project(None)
    found, damaged = entries(project.results, task)
    if task is not None and not found:
        _check_task(project, task)
    now = clock.now_us()
    value = {"entries": [_plain(one, now) for one in found], "damaged": damaged}
    emit(value, common.json, lambda: _listed(found, damaged, now))
    return 0


def cache_clear(
    task: str | None = None,
    /,
    *,
    older_than: Duration | None = None,
    all: Flag = False,
    dry_run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Let kept results go: those that have expired, and more where an option says so.

    Parameters
    ----------
    task
        The name of a task: only its results.
    older_than
        Also what was kept longer ago, results for resuming included: 90d, 36h.
    all
        Everything that is kept.
    dry_run
        Show what would go and let nothing go.
    """
    if all and older_than is not None:
        raise UsageError("--all and --older-than exclude each other", hint="leave one of them out")
    project, now = open_project(None), clock.now_us()
    age = None if older_than is None else parse_duration(older_than, where="--older-than")
    found = clear(
        project.results,
        now=now,
        named=project.reader.result_files(),
        task=task,
        before=None if age is None else now - age // timedelta(microseconds=1),
        everything=all,
        dry_run=dry_run,
    )
    if task is not None and not found.entries:
        _check_task(project, task)
    value = {
        "dry_run": dry_run,
        "entries": len(found.entries),
        "damaged": found.damaged,
        "files": found.files,
        "bytes": found.bytes,
    }
    emit(value, common.json, lambda: _cleared(found, dry_run))
    return 0


def _check_task(project: Project, task: str) -> None:
    """Raise UnknownNameError for a task that never ran here, and of which nothing is kept: results may be shared by homes."""
    known = {*project.reader.known_tasks(), *(one.entry.task for one in entries(project.results)[0])}
    if task not in known:
        raise UnknownNameError.of("task", task, known)


def _plain(one: Kept, now: int) -> dict[str, Any]:
    entry = one.entry
    return {
        "key": entry.key,
        "task": entry.task,
        "task_run": entry.task_run_id,
        "run": entry.run_id,
        "kept": clock.rfc3339(entry.at),
        "expires": None if entry.expires is None else clock.rfc3339(entry.expires),
        "expired": one.has_expired(now),
        "encoding": entry.result.encoding,
        "bytes": one.size,
    }


def _listed(found: list[Kept], damaged: list[str], now: int) -> str:
    lines = [f"damaged, and never used (headwater cache clear removes it): {name}" for name in damaged]
    if not found:
        return "\n".join([*lines, "no results are kept"])
    rows = [
        (
            one.entry.task,
            instant(clock.rfc3339(one.entry.at)),
            _until(one, now),
            size_of(one.size),
            one.entry.result.encoding,
            f"{one.entry.run_id}/{one.entry.task_run_id}",
        )
        for one in found
    ]
    headers = ("task", "kept", "expires", "size", "encoding", "task run")
    return "\n".join([*lines, table(headers, rows, numbers=("size",), spare=("encoding", "task run"))])


def _until(one: Kept, now: int) -> str:
    if one.entry.expires is None:
        return "-"
    return ("expired " if one.has_expired(now) else "") + instant(clock.rfc3339(one.entry.expires))


def _cleared(found: Cleared, dry_run: bool) -> str:
    if not (found.entries or found.damaged or found.files):
        return "nothing has expired: headwater cache clear --older-than 90d lets go what is older, --all everything"
    results = Counter(entry.task for entry in found.entries)
    rows = [(name, f"{count:,}") for name, count in sorted(results.items())]
    lines = [table(("task", "results"), rows, numbers=("results",)), ""] if rows else []
    if found.damaged:
        lines.append(f"damaged entries: {found.damaged:,}")
    does = "would be freed" if dry_run else "freed"
    return "\n".join([*lines, f"{size_of(found.bytes)} {does}, in {counted(found.files, 'file')} beside the entries"])


cache_app = tree("cache", CACHE)
"""The commands under `cache`."""
