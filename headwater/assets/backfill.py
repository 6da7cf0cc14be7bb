"""Planning backfills: what is asked for, and which partitions of which assets that means. A plan is a value.

The same plan is shown by a dry run, kept in the journal, and carried out (`Progress` says what may run next).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Literal, TypeAlias, get_args

from headwater.assets.backfill_plan import BackfillPlan, Order, PlanStep, Vanished, keys_then, plan_from_json
from headwater.assets.causes import spread
from headwater.assets.definitions import InputDefinition
from headwater.assets.dependencies import in_turns, made_together, reached
from headwater.assets.divided import Divided
from headwater.assets.facts import Facts, Made, Skipped, last_said
from headwater.assets.mappings import infer_mapping
from headwater.assets.partitions import UNPARTITIONED, PartitionsDefinition, PartitionSet, partitioning
from headwater.assets.progress import Blocked, Progress
from headwater.assets.staleness import Staleness, staleness
from headwater.errors import DefinitionError, PartitionError, UnknownNameError, UsageError
from headwater.records import dataclass
from headwater.types import Reason
from headwater.wording import counted

__all__ = [
    "BackfillPlan",
    "BackfillRequest",
    "Blocked",
    "Only",
    "Order",
    "PlanStep",
    "Progress",
    "Vanished",
    "keys_then",
    "plan",
    "plan_from_json",
]

Only: TypeAlias = Literal["missing", "failed", "stale"]
Group: TypeAlias = tuple[str, ...]
"""An asset, or several that are made by turns, as they read each other's past, or by one function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """What is asked for: which partitions (None: all) of which assets, and what of the assets around them.

    `partitions` is meant for the targets that are divided in the same way; the others get what overlaps with it. `only`
    keeps what is missing, failed or stale (empty: everything). Raises UsageError when a word is unknown.
    """

    targets: tuple[str, ...]
    partitions: PartitionSet | None = None
    upstream: bool = False
    downstream: bool = False
    only: frozenset[str] = frozenset()
    order: Order = "oldest"

    def __post_init__(self) -> None:
        if not self.targets:
            raise UsageError("a backfill needs an asset", hint="name one: headwater backfill ASSET")
        for given, known in ((self.only, get_args(Only)), ({self.order}, get_args(Order))):
            for word in sorted(given - set(known)):
                raise UsageError(f"'{word}' is not known", where="backfill", hint=f"one of: {', '.join(known)}")


def plan(facts: Facts, request: BackfillRequest, as_of: int) -> BackfillPlan:
    """The plan for a request; sources are never in it, and steps without partitions are left out.

    What one function makes is made by one call, so a plan that has one of its assets has the others, too.

    Raises UnknownNameError for an unknown asset, UsageError for a source, PartitionError when the partitions asked for
    mean nothing to a target, DefinitionError when the assets form a cycle.

    >>> from headwater.assets.definitions import AssetDefinition
    >>> from headwater.assets.events import AssetRef
    >>> from headwater.assets.partitions import DailyPartitions
    >>> ref = AssetRef(name="clicks", uri="memory://clicks", kind="memory", namespace="memory", dataset="clicks")
    >>> days = DailyPartitions("2013-01-01", "2013-01-04")
    >>> facts = Facts(definitions={"clicks": AssetDefinition(ref=ref, partitions=days, code_version="1")})
    >>> found = plan(facts, BackfillRequest(targets=("clicks",), only=frozenset({"missing"})), as_of=0)
    >>> [(step.asset, str(step.partitions), step.reason.text) for step in found.steps]
    [('clicks', '2013-01-01..2013-01-03', 'clicks was asked for; 3 of 3 partitions are missing')]
    """
    return _Planner(facts, request, as_of).plan()


class _Planner:
    """The work on one request. `wanted` is what it is about, before `only` takes its choice."""

    def __init__(self, facts: Facts, request: BackfillRequest, as_of: int) -> None:
        self._facts, self._request, self._as_of = facts, request, as_of
        self._definitions = facts.definitions
        self._groups = in_turns(facts.definitions)
        self._group = {name: group for group in self._groups for name in group}
        self._stale: Mapping[str, Staleness] = {}
        self._planned: dict[str, PartitionSet] = {}
        self._made: dict[str, PartitionSet] = {}
        self._lacks: dict[str, PartitionSet] = {}
        self._ways: dict[PartitionsDefinition, Divided] = {}
        self._inputs_of: dict[str, tuple[list[InputDefinition], list[InputDefinition]]] = {}

    def plan(self) -> BackfillPlan:
        asked = {name: self._asked(name) for name in self._request.targets}
        above = self._above(asked) if self._request.upstream else {}
        below = self._below(asked) if self._request.downstream else {}
        if "stale" in self._request.only:
            self._stale = staleness(self._facts, self._as_of)
        steps = []
        for group in self._groups:
            parts = {name: [found[name] for found in (asked, above, below) if name in found] for name in group}
            wanted = {name: _all_of(some) for name, some in parts.items() if some}
            chosen = self._chosen(group, wanted) if self._request.only else wanted
            self._planned.update(reached(chosen, self._with_it))
            for name in group:
                if self._planned.get(name):
                    why = self._together(name, chosen) or self._reason(name, wanted[name], chosen, asked, above)
                    steps.append(PlanStep(asset=name, partitions=self._planned[name], reason=why))
        return BackfillPlan(steps=tuple(steps), order=self._request.order, as_of=self._as_of)

    def _asked(self, name: str) -> PartitionSet:
        """The partitions of a target that the request means."""
        if name not in self._definitions:
            raise UnknownNameError.of("asset", name, self._definitions)
        if not self._makes(name):
            raise UsageError(f"'{name}' is a source: nothing here makes it", hint="name an asset that is made from it")
        divided, given = partitioning(self._definitions[name]), self._request.partitions
        if given is None or divided is UNPARTITIONED:
            return divided.all(self._as_of)
        if given.definition == divided:
            return given
        try:
            return infer_mapping(given.definition, divided).downstream(given, divided, as_of=self._as_of)
        except DefinitionError as error:
            message = f"the partitions {given} mean nothing to '{name}' ({divided.describe()})"
            raise PartitionError(message, hint="ask for it in a backfill of its own") from error

    def _above(self, asked: Mapping[str, PartitionSet]) -> dict[str, PartitionSet]:
        """What is read to make what is asked for, up to the sources."""
        found = dict(asked)
        for group in reversed(self._groups):
            # Its own past first: that reads the other inputs, too.
            found |= reached(_in(group, found), partial(self._past, group))
            for name in group:
                for used in self._others(name) if name in found else ():
                    _add(found, used.asset, self._reads(used, found[name]))
        return found

    def _below(self, asked: Mapping[str, PartitionSet]) -> dict[str, PartitionSet]:
        """What is made of what is asked for, or of what is made with that, down to the ends."""
        found, made = dict(asked), dict[str, PartitionSet]()
        for group in self._groups:
            for name in group:
                for used in self._others(name):
                    if used.asset in made:
                        _add(found, name, self._readers(used, made[used.asset], name))
            made |= reached(_in(group, found), partial(self._again, group))
            for name, readers in self._along(group, _in(group, made)):
                _add(found, name, readers)
        return found

    def _past(self, group: Group, of: Mapping[str, PartitionSet]) -> Iterator[tuple[str, PartitionSet]]:
        """What these partitions read inside their group; of the past what is missing, or what `only` chooses, not all of it."""
        for name in group:
            for used in self._own(name) if name in of else ():
                reads = self._reads(used, of[name])
                whole = self._request.only or not used.mapping.only_past
                yield used.asset, reads if whole else reads & self._missing(used.asset)

    def _along(self, group: Group, of: Mapping[str, PartitionSet]) -> Iterator[tuple[str, PartitionSet]]:
        """What reads these partitions inside their group."""
        for name in group:
            for used in self._own(name):
                if used.asset in of:
                    yield name, self._readers(used, of[used.asset], name)

    def _with_it(self, of: Mapping[str, PartitionSet]) -> Iterator[tuple[str, PartitionSet]]:
        """What is made together with these partitions."""
        for name, some in of.items():
            for other in made_together(self._definitions, name):
                yield other, some

    def _again(self, group: Group, of: Mapping[str, PartitionSet]) -> Iterator[tuple[str, PartitionSet]]:
        """What is made together with these partitions, and what reads them inside their group."""
        yield from self._with_it(of)
        yield from self._along(group, of)

    def _readers(self, used: InputDefinition, of: PartitionSet, name: str) -> PartitionSet:
        """The partitions of an asset that read these ones of its input."""
        divided = partitioning(self._definitions[name])
        readers = used.mapping.downstream(of, divided, as_of=self._as_of)
        return readers & divided.all(self._as_of) if divided.open_ended else readers

    def _chosen(self, group: Group, wanted: Mapping[str, PartitionSet]) -> dict[str, PartitionSet]:
        """What `only` leaves of the partitions of a group of assets; what they read besides has been planned before."""
        chosen = {name: self._chosen_of(name, some) for name, some in wanted.items()}
        if "stale" in self._request.only:
            # What is made again here makes its readers stale, so a dry run says all that will happen.
            for name, readers in self._along(group, reached(chosen, partial(self._again, group))):
                _add(chosen, name, readers)
        return {name: chosen[name] & some for name, some in wanted.items()}

    def _chosen_of(self, name: str, wanted: PartitionSet) -> PartitionSet:
        """What `only` leaves of an asset, before what follows from that inside its group."""
        only, divided = self._request.only, wanted.definition
        parts = [divided.empty()]
        if "missing" in only:
            parts.append(wanted - self._there(name))
        if "failed" in only:
            parts.append(wanted & self._known(divided, self._facts.of(name).failed))
        if "stale" in only:
            stands = last_said(self._facts.of(name))
            parts += [wanted - self._known(divided, stands), wanted & self._stale[name].stale]
            again = [one for one in self._others(name) if one.asset in self._planned]
            parts += [wanted & self._readers(one, self._planned[one.asset], name) for one in again]
            parts.append(wanted & self._seen_to_read(stands, name, divided))
        return _all_of(parts)

    def _seen_to_read(
        self, stands: Mapping[str | None, Made | Skipped], name: str, divided: PartitionsDefinition
    ) -> PartitionSet:
        """The partitions that stand and were made, in whatever way, of what is planned."""
        if not stands:
            return divided.empty()
        planned = [(asset, one) for asset, one in self._planned.items() if one and asset != name]
        known = {asset: self._way(one.definition).keys(one) for asset, one in planned}
        hits = [
            key
            for key, one in stands.items()
            if any(used.asset in known and used.partition in known[used.asset] for used in one.inputs)
        ]
        return self._known(divided, hits)

    def _together(self, name: str, chosen: Mapping[str, PartitionSet]) -> Reason | None:
        """Why an asset is in the plan of which nothing was chosen: it is made with others that were."""
        if chosen.get(name):
            return None
        return Reason("together", f"{name} is made {self._by(name, chosen)}", tuple(self._lacking(name)))

    @cached_property
    def _targets(self) -> Collection[str]:
        """What is asked for, and what is made with that."""
        targets = self._request.targets
        return dict.fromkeys([*targets, *(other for one in targets for other in made_together(self._definitions, one))])

    def _by(self, name: str, chosen: Mapping[str, PartitionSet]) -> str:
        others = [other for other in made_together(self._definitions, name) if chosen.get(other)]
        return f"by the call that makes {', '.join(others)}"

    def _reason(
        self,
        name: str,
        wanted: PartitionSet,
        chosen: Mapping[str, PartitionSet],
        asked: Collection[str],
        above: Collection[str],
    ) -> Reason:
        own, only = chosen[name], sorted(self._request.only)
        kind = "requested" if name in asked else "upstream" if name in above else "downstream"
        text = {
            "requested": f"{name} was asked for",
            "upstream": f"{', '.join(self._request.targets)} needs {name}",
            "downstream": f"{name} is made from {', '.join(self._targets)}",
        }[kind]
        if only:
            which = f"{'is' if len(own) == 1 else 'are'} {' or '.join(only)}"
            text += f"; {len(own):,} of {counted(len(wanted), 'partition')} {which}"
        if more := self._planned[name] - own:
            text += f"; {len(more):,} more {'is' if len(more) == 1 else 'are'} made {self._by(name, chosen)}"
        because = self._stale[name].reasons if name in self._stale else ()
        return Reason(kind, text, (*because, *self._lacking(name)))

    def _lacking(self, name: str) -> Iterable[Reason]:
        """The inputs that will be missing when the partitions of this asset are made."""
        planned = self._planned[name]
        for used in self._inputs(name):
            above = self._there(used.asset) | self._planned.get(used.asset, self._there(used.asset))
            reads = self._reads(used, planned)
            needed = used.mapping.enough(len(reads))
            if planned and needed > len(reads):
                has = (
                    f"{counted(len(reads), 'partition')}, at least {needed} are needed" if reads else "no partition yet"
                )
                text = f"{counted(len(planned), 'partition')} will be blocked: the input {used.asset} has {has}"
                yield Reason("input_missing", text)
                continue
            lacking = reads - above
            there, strict = len(reads & above), needed == len(reads)
            if not lacking or (not strict and there >= needed):
                continue
            hit = used.mapping.downstream(lacking, planned.definition, as_of=self._as_of) & planned
            sure = "will" if strict or not there else "may"
            text = f"{counted(len(hit), 'partition')} {sure} be blocked: the input {used.asset} was never made and is not planned"
            yield Reason("input_missing", f"{text}{spread(lacking)}")

    def _inputs(self, name: str) -> list[InputDefinition]:
        """The inputs that are made here: those that are sources play no part in a plan."""
        return [used for used in self._definitions[name].inputs if self._makes(used.asset)]

    def _own(self, name: str) -> Sequence[InputDefinition]:
        """The inputs of an asset that are the asset itself, or are made by turns with it."""
        return self._split(name)[0]

    def _others(self, name: str) -> Sequence[InputDefinition]:
        """The inputs of an asset that are made before all of it."""
        return self._split(name)[1]

    def _split(self, name: str) -> tuple[list[InputDefinition], list[InputDefinition]]:
        if name not in self._inputs_of:
            found: tuple[list[InputDefinition], list[InputDefinition]] = [], []
            for used in self._inputs(name):
                found[used.asset not in self._group[name]].append(used)
            self._inputs_of[name] = found
        return self._inputs_of[name]

    def _makes(self, name: str) -> bool:
        return name in self._definitions and not self._definitions[name].is_source

    def _reads(self, used: InputDefinition, of: PartitionSet) -> PartitionSet:
        return used.mapping.upstream(of, partitioning(self._definitions[used.asset]), as_of=self._as_of)

    def _there(self, name: str) -> PartitionSet:
        if name not in self._made:
            self._made[name] = self._known(partitioning(self._definitions[name]), self._facts.of(name).made)
        return self._made[name]

    def _missing(self, name: str) -> PartitionSet:
        if name not in self._lacks:
            self._lacks[name] = partitioning(self._definitions[name]).all(self._as_of) - self._there(name)
        return self._lacks[name]

    def _known(self, divided: PartitionsDefinition, keys: Iterable[str | None]) -> PartitionSet:
        """The partitions of these keys; what was made under an earlier definition may be none any more."""
        return self._way(divided).set_of(tuple(keys))

    def _way(self, divided: PartitionsDefinition) -> Divided:
        if divided not in self._ways:
            self._ways[divided] = Divided(divided, self._as_of)
        return self._ways[divided]


def _in(group: Group, found: Mapping[str, PartitionSet]) -> dict[str, PartitionSet]:
    return {name: found[name] for name in group if name in found}


def _add(found: dict[str, PartitionSet], name: str, partitions: PartitionSet) -> None:
    if partitions:
        found[name] = found[name] | partitions if name in found else partitions


def _all_of(parts: list[PartitionSet]) -> PartitionSet:
    first = parts[0]
    return first.definition.union_of(parts)
