"""Why partitions are stale, in words: a sentence for each cause, and for one partition the tree up to where it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Protocol

from headwater.assets.causes import Cause, spread
from headwater.assets.data_through import label
from headwater.assets.definitions import AssetDefinition
from headwater.assets.divisions import Divisions
from headwater.assets.facts import Facts, last_said
from headwater.assets.partitions import PartitionSet
from headwater.core.code_changes import code_changes
from headwater.types import Reason

DEPTH = 12
"""So many steps upstream a tree goes."""
_LOOKED_AT = 100
"""Partitions of which what differs in their code is told together."""


class _Judged(Protocol):
    """What was found of one asset."""

    @property
    def stale(self) -> PartitionSet: ...
    @property
    def missing(self) -> PartitionSet: ...
    @property
    def causes(self) -> tuple[Cause, ...]: ...


class StaleReasons:
    """The words for what a judgement found."""

    def __init__(self, facts: Facts, divisions: Divisions, found: Mapping[str, _Judged]) -> None:
        self._facts, self._divisions, self._found = facts, divisions, found

    def grouped(self, name: str, cause: Cause) -> Reason:
        """A cause in a sentence; of changed code with what differs, for the first versions that were made by other code."""
        if cause.kind not in ("code_changed", "input_updated"):
            return cause.reason()
        reason = cause.reason(self._since(name, cause.partitions.keys()))
        if cause.kind == "input_updated":
            return reason
        stands = last_said(self._facts.of(name))
        keys = list(islice(cause.partitions.keys(), _LOOKED_AT))
        versions = dict.fromkeys(stands[key].code_version for key in keys)
        every = [one for version in versions for one in self._code_changes(name, version)]
        every += self._no_inputs(name, keys)
        return replace(reason, because=tuple(dict.fromkeys(every)))

    def _since(self, name: str, keys: Iterable[str | None]) -> str:
        """What was done with all of these partitions when what stands of them was read."""
        skipped = self._facts.of(name).skipped
        return "left out" if skipped and all(key in skipped for key in keys) else "made"

    def _code_changes(self, name: str, version: str | None) -> tuple[Reason, ...]:
        """What differs in the code since a version of it."""
        definition = self._facts.definitions[name]
        before = None if version is None else self._facts.earlier_code(name, version)
        return code_changes(before, version, definition.code, definition.code_version)

    def _no_inputs(self, name: str, keys: Iterable[str | None]) -> list[Reason]:
        """Which assets the code of now was given when it made these partitions, and is not any more."""
        current, stands = self._facts.definitions[name].code_version, last_said(self._facts.of(name))
        alike = [key for key in keys if stands[key].code_version == current]
        read = self._facts.exchanged(name) if alike else {}
        return [
            Reason("dropped", f"it read {asset}, which is no input any more")
            for key in alike
            for asset in read.get(key, ())
        ]

    def why(self, name: str, number: int, depth: int) -> Reason:
        """Why a partition is stale or not."""
        found = self._found[name]
        here = found.stale.definition.clip([(number, number + 1)])
        subject = label(name, found.stale.definition.key(number))
        if here & found.missing:
            return Reason("never_made", f"{subject} was never made", tuple(self._lacking(name, here)))
        because = tuple(self._because(name, cause, number, depth) for cause in found.causes if here & cause.partitions)
        if because:
            return Reason("stale", f"{subject} is stale", because)
        if self._facts.definitions[name].is_source:
            return Reason("up_to_date", f"{subject} is a source: nothing here makes it")
        return Reason("up_to_date", f"{subject} is up to date")

    def _lacking(self, name: str, here: PartitionSet) -> Iterator[Reason]:
        for used in self._facts.definitions[name].inputs:
            behind = self._found.get(used.asset)
            if behind is not None and used.asset != name:
                lacking = self._divisions.upstream(used, here, behind.missing.definition) & behind.missing
                if lacking:
                    yield Reason("input_missing", f"its input {used.asset} was never made{spread(lacking)}")

    def _because(self, name: str, cause: Cause, number: int, depth: int) -> Reason:
        key = cause.partitions.definition.key(number)
        if cause.kind == "code_changed":
            stands = last_said(self._facts.of(name))[key]
            text = f"its code changed since it was {self._since(name, [key])}{_producer(self._facts.definitions[name])}"
            return Reason(
                cause.kind, text, (*self._code_changes(name, stands.code_version), *self._no_inputs(name, [key]))
            )
        asset = cause.asset or name
        example = cause.examples.get(key)
        if cause.kind == "input_updated":
            return Reason(
                cause.kind, f"its input {label(asset, example)} changed since it was {self._since(name, [key])}"
            )
        above = self._stale_above(name, asset, number, example)
        text = f"its input {asset} is stale itself"
        if above is None or depth == 0:
            return Reason(cause.kind, text)
        return Reason(cause.kind, text, (self.why(asset, above, depth - 1),))

    def _stale_above(self, name: str, asset: str, number: int, example: str | None) -> int | None:
        """The number of a stale partition of the input that this partition reads."""
        found = self._found[asset]
        here = self._found[name].stale.definition.clip([(number, number + 1)])
        for used in self._facts.definitions[name].inputs:
            if used.asset == asset:
                reads = self._divisions.upstream(used, here, found.stale.definition) & (found.stale - found.missing)
                others = reads - here if asset == name else reads
                if others:
                    return others.definition.ordinal(others.first.key)
        return self._divisions.named(asset).number(example)


def _producer(definition: AssetDefinition) -> str:
    return f" ({definition.producer})" if definition.producer else ""
