"""The board: everything that is known of assets at a moment, in the shapes that `status`, `freshness` and `explain` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from headwater import clock
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition
from headwater.assets.facts import AssetFacts, Facts, FailedCheck, Failure
from headwater.assets.freshness import FreshnessVerdict, board
from headwater.assets.partitions import Partition, PartitionsDefinition, PartitionSet, partitioning
from headwater.assets.staleness import Staleness, staleness
from headwater.assets.uncollected import uncollected
from headwater.errors import PartitionError, UnknownNameError, UsageError
from headwater.types import Reason
from headwater.wording import command, counted

_LISTED = 20
"""So many failures of an asset are listed."""
_MANY = 100_000
_WORST_FIRST = ("late", "unknown", "warn", "fresh", "none")


class Judged(NamedTuple):
    """The verdicts on assets and their staleness, of those that are asked for at least."""

    verdicts: Mapping[str, FreshnessVerdict]
    stale: Mapping[str, Staleness]


def status(facts: Facts, names: Iterable[str], as_of: int, judged: Judged | None = None) -> dict[str, Any]:
    """What `status --json` prints: each asset with its partitions, clocks, freshness and staleness, the worst first.

    What was `judged` before of the same facts is not judged again, here and below.
    """
    with uncollected():
        verdicts, stale = judged or Judged(board(facts, as_of), staleness(facts, as_of))
        rows = [
            {**_head(facts, name, as_of), **freshness_row(verdicts[name]), "stale": _stale(stale.get(name))}
            for name in _sorted(names, verdicts)
        ]
    return {"as_of": clock.rfc3339(as_of), "assets": rows}


def grouped(value: Mapping[str, Any], by: str) -> dict[str, Any]:
    """The board of `status` by group: of each how many assets it has, of which verdict, and how many are stale or failed.

    `by` is owner, kind, group or tag:KEY; what has none of these is in the group None, what has two owners in both. Raises
    UsageError for anything else.
    """
    what, _, key = by.partition(":")
    if by not in ("owner", "kind", "group") and not (what == "tag" and key):
        raise UsageError(f"there is no grouping by {by!r}", hint="group by owner, kind, group or tag:KEY")
    groups: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in value["assets"]:
        names = row["owners"] if by == "owner" else [row["tags"].get(key) if what == "tag" else row[by]]
        for name in names or [None]:
            groups.setdefault(name, []).append(row)
    rows = [_group(name, groups[name]) for name in sorted(groups, key=lambda name: (name is None, name or ""))]
    return {"as_of": value["as_of"], "by": by, "groups": rows}


def _group(name: str | None, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = Counter(row["freshness"]["verdict"] for row in rows)
    return {
        "group": name,
        "assets": len(rows),
        "verdicts": {verdict: counts[verdict] for verdict in _WORST_FIRST},
        "stale": sum(row["stale"]["is_stale"] for row in rows),
        "failed": sum(bool(row["refused"]) for row in rows),
    }


def freshness(facts: Facts, names: Iterable[str], as_of: int, judged: Judged | None = None) -> dict[str, Any]:
    """What `freshness --json` prints: the same objects without the rest."""
    with uncollected():
        verdicts = judged.verdicts if judged else board(facts, as_of)
        rows = [{"name": name, **freshness_row(verdicts[name])} for name in _sorted(names, verdicts)]
    return {"as_of": clock.rfc3339(as_of), "assets": rows}


def freshness_row(verdict: FreshnessVerdict) -> dict[str, Any]:
    """The three clocks of an asset and its verdict."""
    return {
        "last_run": _time(verdict.last_run),
        "last_materialized": _time(verdict.last_materialized),
        "data_through": _time(verdict.data_through),
        "basis": verdict.basis,
        "complete_through": _time(verdict.complete_through),
        "freshness": {
            "verdict": verdict.verdict,
            "clock": verdict.clock,
            "lag": verdict.lag,
            "next_change": _time(verdict.next_change),
            "witness": list(verdict.witness),
            "reason": verdict.text,
        },
    }


def explain(facts: Facts, name: str, key: str | None, as_of: int, judged: Judged | None = None) -> dict[str, Any]:
    """What `explain --json` prints of an asset, or of one of its partitions: the verdicts with the reasons behind them.

    Raises UnknownNameError for an unknown asset, PartitionError for a key that is none.
    """
    definition = facts.definitions.get(name)
    if definition is None:
        raise UnknownNameError.of("asset", name, facts.definitions)
    found = (judged.stale if judged else staleness(facts, as_of)).get(name)
    if key is not None:
        partition = _partition(definition, key)
        because = (
            *_attempted(facts, name, partition.key),
            *_made(facts, name, partition.key),
            *_checked(facts, name, partition.key),
            *_why(found, partition.key),
        )
        state = "stale" if found is not None and partition.key in found.stale else "up to date"
        subject = label(name, partition.key)
        return _explained(subject, state, Reason("partition", f"{subject} is {state}", because))
    verdict = (judged.verdicts if judged else board(facts, as_of))[name]
    state = "stale" if found is not None and found.is_stale else "up to date"
    parts = [verdict.reason, *_attempted(facts, name, None), *_checked(facts, name, None)]
    if found is not None and not definition.is_source:
        parts.append(Reason("staleness", f"{name} is {state}", found.reasons))
    if definition.renamed_from is not None:
        known = facts.of(name)
        nothing = "" if known.made or known.observed else ", and nothing that was made is known of that name"
        parts.append(Reason("renamed", f"it was named {definition.renamed_from} before{nothing}"))
    parts.extend(_mappings(definition))
    return _explained(name, verdict.verdict, Reason("asset", f"{name}: {verdict.verdict}, {state}", tuple(parts)))


def _explained(subject: str, verdict: str, reason: Reason) -> dict[str, Any]:
    return {"subject": subject, "verdict": verdict, "reason": reason.to_json()}


def _why(found: Staleness | None, key: str | None) -> tuple[Reason, ...]:
    return (found.why(key),) if found is not None and key in found.stale else ()


def _partition(definition: AssetDefinition, key: str) -> Partition:
    if definition.partitions is None:
        raise PartitionError(
            f"the asset '{definition.name}' has no partitions", hint=command("explain", definition.name)
        )
    return definition.partitions.partition(key)


def _attempted(facts: Facts, name: str, key: str | None) -> tuple[Reason, ...]:
    """That the last attempt at a partition failed or left it out, also when an earlier one left data in place."""
    skipped, failed = facts.of(name).skipped.get(key), facts.of(name).failed.get(key)
    found: list[Reason] = []
    if skipped is not None:
        text = f"left out at {clock.rfc3339(skipped.at)}: run {skipped.run_id} skipped this optional output"
        found.append(Reason("skipped", text))
    if failed is not None:
        message = (failed.message or "no message").splitlines()[0]
        text = f"its last attempt at {clock.rfc3339(failed.at)} ended {failed.state}: {message}"
        found.append(Reason("failed", text))
    return tuple(found)


def _made(facts: Facts, name: str, key: str | None) -> tuple[Reason, ...]:
    made = facts.of(name).made.get(key)
    if made is None:
        return () if key in facts.of(name).failed else (Reason("never_made", "it was never made"),)
    rows = "" if made.rows is None else f" with {counted(made.rows, 'row')}"
    inputs = tuple(
        Reason("input", f"it read {label(one.asset, one.partition)} at version {one.version}") for one in made.inputs
    )
    return (Reason("made", f"made at {clock.rfc3339(made.at)}{rows} as version {made.version}", inputs),)


def _checked(facts: Facts, name: str, key: str | None) -> tuple[Reason, ...]:
    """The checks that what is in place does not pass."""
    return tuple(
        Reason("check", f"the check '{one.name}' failed on it" + (f": {one.message}" if one.message else ""))
        for one in facts.failed_checks.get(name, ())
        if one.partition == key
    )


def _mappings(definition: AssetDefinition) -> tuple[Reason, ...]:
    return tuple(
        Reason("mapping", f"it reads {one.asset} (as '{one.parameter}'): {one.mapping.describe()}")
        for one in definition.inputs
    )


def _head(facts: Facts, name: str, as_of: int) -> dict[str, Any]:
    definition, known = facts.definitions[name], facts.of(name)
    failed = facts.failed(name)
    every = None if definition.partitions is None else _every(definition.partitions, as_of)
    # Of what was made some may be no partition any more, or not yet: a key was taken out, the day is not over. Each key is
    # looked at once: of many it is most of the time that this takes.
    there = frozenset() if every is None else frozenset(key for key in known.made if key in every)
    return {
        "name": name,
        "kind": definition.ref.kind,
        "location": definition.ref.uri,
        "namespace": definition.ref.namespace,
        "dataset": definition.ref.dataset,
        "owners": list(definition.owners),
        "tags": dict(definition.tags),
        "description": definition.description,
        "code": _code(definition),
        "group": definition.group,
        "partitions": None if every is None else _counts(len(every), len(there), len(failed)),
        "rows": _rows(definition, known, there),
        "checks": list(definition.checks),
        "failed_checks": [_failed_check(one) for one in _failed_checks(facts, name)[:_LISTED]],
        "refused": _refused(failed, known),
    }


def _code(definition: AssetDefinition) -> dict[str, Any] | None:
    """Where the function stands that makes it; None for a source."""
    source = definition.source
    return None if source is None else {"file": source.file, "line": source.line, "name": source.name}


def _failed_checks(facts: Facts, name: str) -> list[FailedCheck]:
    """The checks that versions in place do not pass, of what is a partition still."""
    divided = partitioning(facts.definitions[name])
    return [one for one in facts.failed_checks.get(name, ()) if divided.has(one.partition)]


def _failed_check(one: FailedCheck) -> dict[str, Any]:
    return {
        "name": one.name,
        "partition": one.partition,
        "severity": one.severity,
        "message": one.message,
        "at": _time(one.at),
    }


def _refused(failed: Iterable[Failure], known: AssetFacts) -> list[dict[str, Any]]:
    """The newest attempts that were refused or failed, and whether what was there before is still in place."""
    newest = sorted(failed, key=lambda one: one.at, reverse=True)[:_LISTED]
    return [
        {
            "partition": one.partition,
            "state": one.state,
            "message": one.message,
            "at": _time(one.at),
            "kept": one.partition in known.made,
        }
        for one in newest
    ]


def _counts(total: int, made: int, failed: int) -> dict[str, int]:
    return {"total": total, "materialized": made, "failed": failed, "missing": total - made}


def _every(divided: PartitionsDefinition, as_of: int) -> PartitionSet | frozenset[str | None]:
    """All partitions; of no great number that is fixed, their keys."""
    found = divided.all(as_of)
    return found if len(found) > _MANY or not divided.fixed else _keys(divided, as_of)


@lru_cache(maxsize=64)
def _keys(divided: PartitionsDefinition, as_of: int) -> frozenset[str | None]:
    """The keys of all partitions: many assets are divided alike."""
    return frozenset(divided.all(as_of).keys())


def _rows(definition: AssetDefinition, known: AssetFacts, there: Collection[str | None]) -> int | None:
    """The rows of all partitions, of those to come as well; those that are known to be `there` need not be looked at."""
    has = partitioning(definition).has
    found = [made.rows for key, made in known.made.items() if made.rows is not None and (key in there or has(key))]
    if not found:
        # Somebody may have observed a partitioned asset as a whole.
        found = [
            seen.rows for key, seen in known.observed.items() if seen.rows is not None and (key is None or has(key))
        ]
    return sum(found) if found else None


def _stale(found: Staleness | None) -> dict[str, Any]:
    if found is None:
        return {"is_stale": False, "partitions": 0, "reasons": []}
    return {
        "is_stale": found.is_stale,
        "partitions": len(found.stale),
        "reasons": [reason.to_json() for reason in found.reasons],
    }


def _sorted(names: Iterable[str], verdicts: Mapping[str, FreshnessVerdict]) -> list[str]:
    return sorted(names, key=lambda name: (_WORST_FIRST.index(verdicts[name].verdict), name))


def _time(us: int | None) -> str | None:
    return None if us is None else clock.rfc3339(us)
