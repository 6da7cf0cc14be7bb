"""What can be asked of the past: runs, logs, lineage, materializations, backfills, in the shapes that `--json` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headwater.errors import UnknownNameError
from headwater.lineage.called import names_now
from headwater.lineage.drawing import Names, Walk, draw
from headwater.lineage.graph import LineageGraph
from headwater.lineage.names import keys_of
from headwater.lineage.projection import Projection
from headwater.lineage.run_lists import Wanted, is_whole_id, newest_runs, of_whole_id, worked_out_between
from headwater.lineage.session import Session, plain, rfc3339, timed
from headwater.lineage.shown import Shown
from headwater.lineage.statements import statements

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.lineage.followed import FollowedLog

BUCKETS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)
"""Seconds, for a histogram of durations."""
_LOOKED_AT = 1_000
"""So many of the newest runs are looked at for the names of flows that may have been meant."""


class Reader:
    """Answers from the projection. Each is as of now: what was journaled before the call is in it.

    Times are RFC 3339 in UTC, durations seconds. `loaded` answers with the definitions of the modules that are loaded now, by name:
    they say what an asset is called, and which dataset it is.
    """

    def __init__(self, projection: Projection, loaded: Callable[[], Mapping[str, AssetDefinition]] = dict) -> None:
        self.projection = projection
        self._loaded = loaded

    def runs(
        self,
        *,
        limit: int = 50,
        flow: str | None = None,
        state: str | None = None,
        parent: str | None = None,
        text: str = "",
        before: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """The newest runs, `{"runs": [{id, flow, state, started, ended, duration, tasks: {state: count}, error?, pruned?}]}`.

        `pruned` is the moment before which detail of the run may have expired; its `tasks` stay as they were. `parent` is the
        whole id of the run that they are within, `text` a part of the flow's name or the beginning of the id, `before` the
        start and the id of the last run of the page before. Raises UnknownNameError for a flow that never ran.
        """
        wanted = Wanted(flow=flow, state=state, parent=parent, text=text)
        with self.projection.session() as session:
            found = _runs(session, wanted, limit=limit, before=before)
            if flow is not None and not found and not (state or before or parent or text):
                known = newest_runs(session, Wanted(), limit=_LOOKED_AT)
                raise UnknownNameError.of("flow", flow, {row["flow"] for row in known})
            return Shown(runs=found)

    def run(self, run_id: str) -> dict[str, Any]:
        """One run in the shape of `runs`, by its id or a beginning that no other has. Raises UnknownNameError."""
        with self.projection.session() as session:
            return _run(session, run_id)

    def run_id(self, run_id: str) -> str:
        """The id of the run whose id this is, or begins so. Raises UnknownNameError."""
        with self.projection.session() as session:
            return _id(session, run_id)

    def run_row(self, run_id: str) -> dict[str, Any]:
        """The run as `run` tells it, without its `tasks`. Raises UnknownNameError."""
        with self.projection.session() as session:
            found = of_whole_id(session, run_id)
            return _timed(found[0]) if found else _run(session, run_id)

    def run_details(self, run_id: str) -> dict[str, Any]:
        """One run with how it was called, by whom, and its attempts with their errors: `lineage.run_details`.

        Raises UnknownNameError.
        """
        from headwater.lineage.run_details import run_details

        with self.projection.session() as session:
            found = _run(session, run_id)
            return {**found, **run_details(session, found["id"])}

    def task_runs(
        self, run_id: str, *, state: str | None = None, text: str = "", limit: int | None = None, offset: int = 0
    ) -> dict[str, Any]:
        """The task runs of a run, oldest first: `{"run", "task_runs": [{id, task, state, tries, …}], pruned?}`.

        `text` is a part of the task's name, `pruned` the moment before which task runs may have expired.
        Raises UnknownNameError.
        """
        with self.projection.session() as session:
            run_id = _id(session, run_id)
            wanted = {"run": run_id, "state": state, "text": text, "limit": limit, "offset": offset}
            rows = session.dicts(statements("runs.sql")["task_runs"], wanted)
            return {"run": run_id, "task_runs": [_timed(row) for row in rows], **_pruned(session, run_id, "task_runs")}

    def logs(self, run_id: str, *, level: int = 0, limit: int | None = None, offset: int = 0) -> dict[str, Any]:
        """The log records of a run, oldest first: `{"run", "logs": [{at, level, logger, message, …}], pruned?}`.

        `pruned` is the moment before which log records have expired. Raises UnknownNameError.
        """
        with self.projection.session() as session:
            run_id = _id(session, run_id)
            wanted = {"run": run_id, "level": level, "limit": limit, "offset": offset}
            rows = session.dicts(statements("runs.sql")["logs"], wanted)
            return {"run": run_id, "logs": [plain(row) for row in rows], **_pruned(session, run_id, "logs")}

    def log_pages(self, run_id: str, *, level: int = 0) -> Iterator[dict[str, Any]]:
        """What `logs` tells, page by page, so that a long log need not fit in memory; at least one page.

        Raises UnknownNameError.
        """
        from headwater.lineage.log_pages import log_pages

        with self.projection.session() as session:
            run_id = _id(session, run_id)
            pruned = _pruned(session, run_id, "logs")
        pages = log_pages(self.projection, run_id, level=level)
        yield {"run": run_id, "logs": next(pages, []), **pruned}
        for rows in pages:
            yield {"run": run_id, "logs": rows, **pruned}

    def followed_log(self, run_id: str, *, level: int = 0) -> FollowedLog:
        """The log of a run, whose whole id this is, while it is written: its `news` are what has come, look by look."""
        from headwater.lineage.followed import FollowedLog

        return FollowedLog(self.projection, run_id, level=level)

    def materializations(
        self, asset: str, *, limit: int = 100, before: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """What was tried to make an asset, newest first, whatever came of it. Raises UnknownNameError.

        `before` are the moment and the id of the last one of the page before.
        """
        since, last = before or (None, None)
        with self.projection.session() as session:
            parameters = {"asset": asset, **self.places(asset), "limit": limit, "since": since, "last": last}
            rows = session.dicts(statements("runs.sql")["materializations"], parameters)
            return {"asset": asset, "materializations": [plain(row) for row in rows]}

    def places(self, asset: str) -> dict[str, list[str]]:
        """`{namespaces, datasets}`: what an asset is, and was before it was renamed and moved. Raises UnknownNameError."""
        with self.projection.session() as session:
            places = names_now(session, self._loaded()).places(asset) or [Names(session).dataset(asset)]
        return keys_of(places)

    def usual_seconds(self, assets: Iterable[str]) -> dict[str, float]:
        """How long one partition of each asset usually takes, in seconds; those that were never made are left out."""
        with self.projection.session() as session:
            now = names_now(session, self._loaded())
            wanted = now.told((*place, name, True) for name in assets for place in now.places(name))
            return dict(session.rows(statements("runs.sql")["usual_seconds"], wanted))

    def checks(
        self,
        assets: Iterable[str] | None = None,
        *,
        history: bool = False,
        failed: bool = False,
        limit: int = 50,
        offset: int = 0,
        until: str | None = None,
        check: str | None = None,
    ) -> dict[str, Any]:
        """What checks said: `{"checks": [{asset, name, kind, passed, severity, blocking, message, metrics, at, …}]}`.

        One row a check, with its newest answer, how many partitions it was asked of (`partitions`) and how many of these it
        failed on when it was asked last (`failing`); with `history` every answer, the newest first, at most `limit` of them.
        `assets` are names; all when None. `failed` leaves out what passed. Of the history `until` leaves out answers that came
        after this moment, and `check` those of other checks.
        """
        with self.projection.session() as session:
            wanted = {**self._told(session, "checked", assets), "failed": failed, "limit": limit, "offset": offset}
            if history:
                wanted |= {"until": until, "check": check}
            sql = statements("runs.sql")["check_history" if history else "checks"]
            return {"checks": [{**plain(row), "metrics": _figures(row)} for row in session.dicts(sql, wanted)]}

    def _told(self, session: Session, statement: str, assets: Iterable[str] | None) -> dict[str, Any]:
        """What assets are and were among the datasets that a statement tells of, as parameters of another one."""
        names = None if assets is None else frozenset(assets)
        return names_now(session, self._loaded()).told(session.rows(statements("runs.sql")[statement]), names)

    def freshness_history(self, assets: Iterable[str] | None = None, *, limit: int = 50) -> dict[str, Any]:
        """How verdicts changed, the newest first: `{"changes": [{asset, verdict, before, at, clock, stands, found}]}`.

        `at` is when it came about, `found` when somebody saw it. `assets` are names; all when None.
        """
        with self.projection.session() as session:
            wanted = {**self._told(session, "judged_datasets", assets), "limit": limit}
            rows = session.dicts(statements("runs.sql")["freshness_history"], wanted)
            return {"changes": [plain(row) for row in rows]}

    def backfills(self, *, limit: int = 50, before: tuple[str, str] | None = None) -> dict[str, Any]:
        """The newest backfills: `{"backfills": […]}`, each in the shape of `backfill`.

        `before` are the moment and the id of the last one of the page before.
        """
        with self.projection.session() as session:
            return Shown(backfills=_backfills(session, None, limit, before))

    def backfill(self, backfill_id: str) -> dict[str, Any]:
        """`{id, state, assets, range, partitions: {requested, completed, failed, running, skipped, blocked, cancelled}}`.

        By id or name.

        Raises UnknownNameError.
        """
        with self.projection.session() as session:
            found = _backfills(session, backfill_id, 1)
            if not found:
                raise UnknownNameError.of("backfill", backfill_id, [one["id"] for one in _backfills(session, None, 50)])
            rows = session.dicts(statements("runs.sql")["backfill_partitions"], {"backfill": found[0]["id"]})
            return {**found[0], "outcomes": [plain(row) for row in rows]}

    def work_requests(
        self,
        *,
        open_only: bool = False,
        project: str | None = None,
        limit: int = 50,
        before: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """What was asked to be started through the server, newest first: `{"requests": [{id, what, state, arguments, …}]}`.

        `state` is asked, running, done, failed or cancelled; `open_only` leaves out what has ended, `project` what was
        asked of the servers of others. `before` are the moment and the id of the last one of the page before.
        """
        since, last = before or (None, None)
        return {"requests": self._requests(open=open_only, project=project, limit=limit, since=since, last=last)}

    def work_request(self, request_id: str) -> dict[str, Any] | None:
        """One of them by its id; None when nothing was asked by that one."""
        return next(iter(self._requests(wanted=request_id)), None)

    def _requests(self, **which: object) -> list[dict[str, Any]]:
        every = {"wanted": None, "open": False, "project": None, "limit": 1, "since": None, "last": None}
        with self.projection.session() as session:
            rows = session.dicts(statements("runs.sql")["work_requests"], {**every, **which})
        return [{**plain(row), "arguments": json.loads(row["arguments"] or "{}")} for row in rows]

    def audit(self, *, limit: int = 50, before: tuple[str, str] | None = None) -> dict[str, Any]:
        """Who asked for what, who was let in or refused, newest first: `{"changes": [{id, at, by, what, subject, count}]}`.

        `before` are the moment and the id of the last one of the page before.
        """
        since, last = before or (None, None)
        with self.projection.session() as session:
            rows = session.dicts(statements("runs.sql")["audit"], {"limit": limit, "since": since, "last": last})
        return {"changes": [plain(row) for row in rows]}

    def began(self, request_id: str) -> str | None:
        """The state of the newest attempt of a run that began for a request; None when none did."""
        with self.projection.session() as session:
            rows = session.rows(statements("runs.sql")["began"], {"request": request_id})
        return rows[0][0] if rows else None

    def known_flows(self, flow: str | None = None, *, project: str | None = None) -> list[dict[str, Any]]:
        """`[{flow, file, name, lost}]`: the flows that ran by themselves, where they stood, their parameters that are not kept.

        Of those that several projects of a home have, the one of `project`, else the newest.
        """
        with self.projection.session() as session:
            return session.dicts(statements("runs.sql")["known_flows"], {"flow": flow, "project": project})

    def artifacts(self, run_id: str, *, limit: int = 50, before: tuple[str, str] | None = None) -> dict[str, Any]:
        """What a run made, newest first: `{"run", "artifacts": [{id, kind, name, partition, version, state, message, rows, …}]}`.

        `kind` is materialization, check or result (one that can be restored). `before` are the moment and the id of the last
        one of the page before. Raises UnknownNameError.
        """
        since, last = before or (None, None)
        with self.projection.session() as session:
            run_id = _id(session, run_id)
            wanted = {"run": run_id, "limit": limit, "since": since, "last": last}
            rows = session.dicts(statements("runs.sql")["artifacts"], wanted)
        return {"run": run_id, "artifacts": [{k: v for k, v in plain(row).items() if k != "time"} for row in rows]}

    def figures(self) -> dict[str, Any]:
        """`{runs: [{flow, state, count, seconds, buckets}], running: [{flow, count}], tasks: [{state, count, seconds}]}`.

        Of all attempts that ended, and of those that have not; `buckets` count those that took at most `BUCKETS` seconds.
        """
        sql = statements("runs.sql")
        with self.projection.session() as session:
            return {
                "runs": session.dicts(sql["ended_runs"], {"buckets": list(BUCKETS)}),
                "running": session.dicts(sql["running_runs"]),
                "tasks": session.dicts(sql["ended_tasks"]),
            }

    def dynamic_keys(self, name: str) -> list[tuple[str, bool]]:
        """Every key that was ever added to a list of dynamic partitions, in that order, and whether it is there now."""
        with self.projection.session() as session:
            return [(key, here) for key, here in session.rows(statements("runs.sql")["dynamic_keys"], {"name": name})]

    def dynamic_names(self) -> list[str]:
        """The names of the lists of dynamic partitions. Their keys are not counted: that takes a look at all of them."""
        with self.projection.session() as session:
            return [name for (name,) in session.rows(statements("runs.sql")["dynamic_names"])]

    def dynamic_lists(self) -> list[dict[str, Any]]:
        """`[{name, partitions, removed}]`: the lists of dynamic partitions, each with how many keys it has and had."""
        with self.projection.session() as session:
            return session.dicts(statements("runs.sql")["dynamic_lists"])

    def explain_task(self, run_id: str, task: str) -> dict[str, Any]:
        """Why a task run used a kept result or did not: `{"subject", "verdict", "reason": {kind, text, because}}`.

        `task` is a task's name or the beginning of a task run's id. Raises UnknownNameError when none or several are meant.
        """
        from headwater.lineage.cached import explain_task

        with self.projection.session() as session:
            subject, verdict, reason = explain_task(session, _id(session, run_id), task)
            return {"subject": subject, "verdict": verdict, "reason": reason.to_json()}

    def known_tasks(self) -> list[str]:
        """The names of the tasks that ran, as far as their detail has not expired."""
        with self.projection.session() as session:
            return [name for (name,) in session.rows(statements("runs.sql")["known_tasks"])]

    def result_files(self) -> dict[str, int]:
        """The files of the result store that task runs name, and when each was last named: microseconds since the epoch."""
        with self.projection.session() as session:
            return dict(session.rows(statements("caching.sql")["named_files"]))

    def lineage(
        self,
        asset: str | None = None,
        *,
        up: bool = True,
        down: bool = True,
        depth: int | None = None,
        columns: bool = False,
    ) -> dict[str, Any]:
        """`{root, nodes: [{id, kind, name, asset?, type?}], edges: [{from, to, origin, type?, subtype?, runs, last_seen}]}`.

        Around an asset, or a column as `asset.column`; of everything when None. Raises UnknownNameError.
        """
        return self.graph(asset, up=up, down=down, depth=depth, columns=columns).to_json()

    def graph(
        self,
        asset: str | None = None,
        *,
        up: bool = True,
        down: bool = True,
        depth: int | None = None,
        columns: bool = False,
    ) -> LineageGraph:
        """The same as a value. Raises UnknownNameError."""
        with self.projection.session(outlined=True) as session:
            return draw(session, asset, Walk(up=up, down=down, depth=depth), columns=columns)

    def unknown_columns(self, asset: str | None = None) -> list[dict[str, Any]]:
        """Columns of versions in place whose origin could not be told: asset, column (None: all), reason."""
        with self.projection.session() as session:
            names = Names(session)
            only = names.dataset(asset) if asset is not None else None
            rows = session.rows(statements("lineage.sql")["unknown"])
            return [
                {"asset": names.of.get((namespace, dataset), dataset), "column": column, "reason": reason}
                for namespace, dataset, column, reason in rows
                if only is None or only == (namespace, dataset)
            ]

    def drift(self) -> dict[str, Any]:
        """Where definitions and runs disagree: edges declared and never observed, edges observed and never declared,
        and versions in place that were made of something unknown."""
        with self.projection.session() as session:
            sql = statements("lineage.sql")
            return {
                "declared_only": [_edge_ends(row) for row in session.dicts(sql["declared_only"])],
                "observed_only": [_edge_ends(row) for row in session.dicts(sql["observed_only"])],
                "unknown": [plain(row) for row in session.dicts(sql["unknown_inputs"])],
            }

    def sql(self, query: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Names of the columns, and the rows, of one SELECT on the views. Raises ProjectionError when it is wrong."""
        with self.projection.session() as session:
            answer = session.ask(query)
            return answer.columns, answer.rows


def _runs(
    session: Session, wanted: Wanted, *, limit: int, before: tuple[str, str] | None = None
) -> list[dict[str, Any]]:
    rows = of_whole_id(session, wanted.run) if wanted.run is not None else []
    rows = rows or newest_runs(session, wanted, limit=limit, before=before)
    found = [{**_timed(row), "tasks": {}} for row in rows]
    if not found:
        return []
    by_attempt = {(row["id"], row["attempt"]): row for row in found}
    about = worked_out_between(row["id"] for row in found)
    counts = session.rows(statements("runs.sql")["task_counts"], about)
    for run_id, attempt, state, count in counts:
        if (run_id, attempt) in by_attempt:
            by_attempt[run_id, attempt]["tasks"][state] = count
    pruned = session.rows(statements("runs.sql")["pruned"], {"runs": about["runs"]})
    for run_id, attempt, tasks, expired in pruned:
        row = by_attempt.get((run_id, attempt))
        if row is not None:
            # What was counted before the first of them expired; what is left of them tells another number.
            row["tasks"] = row["tasks"] if tasks is None else tasks
            row["pruned"] = rfc3339(expired)
    return found


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["metrics"]) if row["metrics"] else {}
    return found


def _pruned(session: Session, run_id: str, what: str) -> dict[str, str]:
    found = [row[what] for row in session.dicts(statements("runs.sql")["pruned_detail"], {"run": run_id}) if row[what]]
    return {"pruned": rfc3339(max(found))} if found else {}


def _id(session: Session, run_id: str) -> str:
    found: str = run_id if is_whole_id(session, run_id) else _run(session, run_id)["id"]
    return found


def _run(session: Session, run_id: str) -> dict[str, Any]:
    # Nothing at all, as of a variable that is not set in a script, is the beginning of every id, and means none of them.
    found = _runs(session, Wanted(run=run_id), limit=2) if run_id else []
    if not found:
        raise UnknownNameError.of("run", run_id, [row["id"] for row in newest_runs(session, Wanted(), limit=50)])
    if len(found) > 1:
        raise UnknownNameError(
            f"several runs begin with '{run_id}'", hint="give more of the id: headwater runs lists them"
        )
    return found[0]


def _backfills(
    session: Session, wanted: str | None, limit: int, before: tuple[str, str] | None = None
) -> list[dict[str, Any]]:
    since, last = before or (None, None)
    asked = {"wanted": wanted, "limit": limit, "since": since, "last": last}
    rows = session.dicts(statements("runs.sql")["backfills"], asked)
    counted = ("requested", "completed", "failed", "running", "skipped", "blocked", "cancelled")
    for row in rows:
        row["partitions"] = {name: row.pop(name) for name in counted}
    return [plain(row) for row in rows]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    found = timed(row)
    if found.get("error") is None:
        found.pop("error", None)
    return found


def _edge_ends(row: dict[str, Any]) -> dict[str, Any]:
    return plain({"from": row.pop("source"), "to": row.pop("target"), **row})
