"""Named places at which a test can kill this process: the points around each commit. They cost nothing when none is armed.

`HEADWATER_FAILPOINT=publish.published` kills the process with SIGKILL when it first gets there, `…:3` the third time.
Arming one is for tests of durability only, this project's or a user's own: what a killed process leaves behind is what the
next one finds.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping

from headwater.errors import SettingsError, UnknownNameError

VARIABLE = "HEADWATER_FAILPOINT"
POINTS: Mapping[str, str] = {
    "home.marker": "a new home's folder is there, but not the marker that makes it a home",
    "home.folders": "the marker is there, the folders within the home are not",
    "journal.unborn": "a new segment is there and locked, with nothing in it and without its name",
    "journal.born": "the first event of a segment is written, and the segment has not got its name",
    "journal.named": "a segment has got its name",
    "journal.append": "events are about to be written",
    "journal.appended": "events are written: the kernel has them, the disk need not",
    "journal.sync": "events are about to be synced",
    "journal.synced": "events are on the disk, and nobody has been told",
    "journal.close": "a segment is about to be closed",
    "journal.closed": "a segment's last event is written, and its lock is still held",
    "recovery.locked": "a dead writer's segment is locked, and nothing is changed",
    "recovery.cut": "the torn end of a dead writer's segment is cut off",
    "recovery.settled": "all that a dead writer left is settled, and nothing of that is written",
    "recovery.appended": "the ends of what a dead writer left are written, and not synced",
    "settle.asked": "it is known whether a dead process published, and what it staged is still there",
    "settle.discarded": "what a dead process staged is removed, and the outcome is not written",
    "projection.schema": "the tables of a new projection are made, and not committed",
    "projection.begin": "a transaction has begun that will take in what is new",
    "projection.spooled": "new lines of the journal lie in a file, and none is in the tables",
    "projection.inserted": "rows are in the tables, and how far they reach is not noted",
    "projection.commit": "all is in the tables, with how far it reaches, and not committed",
    "projection.committed": "what is new is committed",
    "projection.close": "the file is about to be closed",
    "projection.aside": "a damaged file's log has been moved aside, the file itself has not",
    "projection.moved": "a damaged file has been moved aside, and there is no new one",
    "projection.built": "a projection has been built anew, and the old one is in its place",
    "projection.unlogged": "the old projection's log is removed, and the new file is not in its place",
    "projection.replaced": "the new projection is in its place",
    "prune.recorded": "it is recorded which runs lose detail, and all of it is still there",
    "prune.expired": "the archives are written anew without what expired, and the projection still has it",
    "prune.commit": "the projection has followed the archives, which is not committed",
    "prune.committed": "the projection has followed the archives",
    "archive.drafted": "an archive's Parquet file is written, and neither read back nor in its place",
    "archive.raised": "the home is marked as one with archives, and there is none yet",
    "archive.written": "an archive's Parquet file is in its place, and no index says so",
    "archive.indexed": "an archive is there, and the segments or the generation that it replaces are, too",
    "archive.unlinked": "a segment that was archived is removed, and others are not",
    "archive.thinned": "an archive is written without what expires, and neither read back nor in its place",
    "staging.written": "data lies in its staged file, which is not synced",
    "staging.synced": "data lies in its staged file, synced, and nothing tells of it",
    "publish.intent": "it is recorded that something is to be made",
    "publish.staged": "data is staged and checked, which is not recorded",
    "publish.recorded": "it is recorded, with all evidence, that data is staged; nothing is published",
    "publish.renamed": "a staged file has got its final name, which is not synced",
    "publish.rows": "the rows of a table are replaced, and their version is not noted",
    "publish.commit": "the rows of a table and their version are written, and not committed",
    "publish.committed": "the rows of a table are committed, and the database file is still open",
    "publish.detached": "a table's file is closed, and the staged file is still there",
    "publish.published": "data is published, and its outcome is not recorded",
    "publish.discarded": "what was staged and will not be published is removed, and its outcome is not recorded",
    "publish.ended": "the outcome is recorded",
    "transaction.commit": "all that a transaction made is staged and checked, and nothing of it is published",
    "transaction.published": "one of the assets of a transaction is published, and others may not be",
    "transaction.committed": "all assets of a transaction are published, and no hook has been called",
    "transaction.rollback": "a transaction is about to be rolled back, which is not recorded",
    "transaction.rolled_back": "it is recorded that task runs are rolled back, and neither hook was called nor data discarded",
    "backfill.requested": "a backfill is recorded, and nothing has been launched",
    "backfill.launched": "it is recorded that a partition is launched",
    "backfill.made": "a partition's function has ended, and its outcome is not recorded",
    "backfill.ended": "a partition's outcome is recorded",
    "outbox.opened": "a destination is open, and where it stands is not saved",
    "outbox.delivered": "a destination has got events, and that is not saved",
    "outbox.parked": "an event that a destination refused is kept aside, and the position is not moved behind it",
    "outbox.draft": "the new position of a destination is written beside the old one",
    "outbox.saved": "the new position of a destination has replaced the old one",
}
"""Each point, and how things stand where it is."""


def armed_by(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """The point that an environment arms, and at which arrival there the process dies.

    Raises UnknownNameError when there is no such point, SettingsError when the number is none.

    >>> armed_by({"HEADWATER_FAILPOINT": "journal.append:3"}), armed_by({})
    (('journal.append', 3), None)
    """
    text = environ.get(VARIABLE)
    if not text:
        return None
    name, colon, count = text.partition(":")
    if name not in POINTS:
        raise UnknownNameError.of("failpoint", name, POINTS, where=VARIABLE)
    if colon and not (count.isdecimal() and int(count)):
        raise SettingsError(f"{count!r} is not a number of arrivals", where=VARIABLE, hint=f"write {name} or {name}:3")
    return name, int(count or 1)


def reach(name: str) -> None:
    """Say that a point is reached: the process dies here when it is armed."""
    if _armed:
        _arrive(name)


def _arrive(name: str) -> None:
    # Judged here and when the settings are loaded, not at the import, where an error could not be told of cleanly.
    armed = armed_by({VARIABLE: _armed})
    if armed is not None and name == armed[0] and next(_arrivals) == armed[1]:
        os.kill(os.getpid(), signal.SIGKILL)


_armed = os.environ.get(VARIABLE, "")
_arrivals = itertools.count(1)
