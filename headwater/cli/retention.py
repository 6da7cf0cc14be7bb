"""`prune`: what is old enough, and detail only, expires; off unless somebody runs it."""

from __future__ import annotations

from headwater.assets.durations import moment, parse_duration
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, Common, Duration, Flag
from headwater.cli.output import emit, size_of
from headwater.cli.tables import table
from headwater.lineage.retention import Pruned
from headwater.wording import counted


def prune(
    *,
    older_than: Duration,
    logs: Flag = False,
    dry_run: Flag = False,
    common: Common = COMMON,
) -> int:
    """Let log records and the detail of task runs expire. Runs, assets, versions and lineage never do.

    Parameters
    ----------
    older_than
        How old: 90d, 12w, 36h.
    logs
        Log records only.
    dry_run
        Show what would expire and let nothing go.
    """
    age = parse_duration(older_than, where="--older-than")
    found = open_project(None).prune(age, logs_only=logs, dry_run=dry_run)
    emit(found.to_json(), common.json, lambda: _text(found))
    return 0


def _text(found: Pruned) -> str:
    lines = [f"damaged, so nothing of it expires (headwater verify): {path}" for path in found.damaged]
    if found.undelivered is not None:
        since = moment(found.undelivered)
        lines.append(
            f"from {since} on nothing expires: a collector of traces has not got it yet (headwater openlineage status)"
        )
    if any(found.events.values()):
        rows = [(kind, f"{count:,}") for kind, count in found.events.items()]
        lines += [
            f"{'would expire' if found.dry_run else 'expired'}: what is older than {moment(found.before)}",
            "",
            table(("event", "count"), rows, numbers=("count",)),
            "",
            f"{counted(found.runs, 'run')} {'loses' if found.runs == 1 else 'lose'} detail, "
            f"started from {_moment(found.oldest)} to {_moment(found.newest)}",
        ]
    else:
        lines.append(f"nothing is older than {moment(found.before)}")
    about = "about " if found.dry_run else ""
    lines.append(f"journal: {size_of(found.bytes_before)}, then {about}{size_of(found.bytes_after)}")
    return "\n".join(lines)


def _moment(us: int | None) -> str:
    return "-" if us is None else moment(us // 1_000_000 * 1_000_000)
