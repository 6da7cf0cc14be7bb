"""What is to be said of one asset whatever is upstream of it: its code, and what it has read and would read now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from headwater.assets.causes import Cause, Seen
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.divided import Divided
from headwater.assets.divisions import Divisions
from headwater.assets.facts import AssetFacts, Consumed, Facts, Made, Outline, Pairs, is_hash, last_said
from headwater.assets.made_graph import MadeGraph
from headwater.assets.returned import returned_at


class Own(NamedTuple):
    """That its code has changed; what it has read, or would read now, and is another version; and what else it has read."""

    causes: tuple[Cause, ...]
    updated: Seen
    reads: Mapping[str, Pairs]


class OwnStaleness:
    """A closer look at single assets of which something was made, or was left out."""

    def __init__(self, facts: Facts, divisions: Divisions, graph: MadeGraph) -> None:
        self._facts, self._divisions, self._graph = facts, divisions, graph
        self._seen: dict[str, tuple[str | None, ...]] = {}

    def look_closer(self, name: str, definition: AssetDefinition, there: Outline) -> Own:
        """What is to be said of an asset."""
        divided, causes = self._divisions.of(definition), list[Cause]()
        current = (None, definition.code_version)
        changed: list[str | None] = []
        if there.mixed or there.code not in current:
            stands = last_said(self._facts.of(name))
            changed += [key for key, one in stands.items() if one.code_version not in current]
        if self._graph.reads_others(definition, there):
            changed += self._facts.exchanged(name)
        if changed and (where := divided.set_of(tuple(changed))):
            causes.append(Cause("code_changed", where))
        settled = there.settled and not self._graph.reads_told_source(definition, there)
        updated, reads = ({}, there.reads) if settled else self._consumed(name)
        for used in definition.inputs:
            for key, part in self._come_since(used, name, divided, there):
                updated.setdefault(used.asset, {}).setdefault(key, part)
        return Own(tuple(causes), updated, reads)

    def news(self, used: InputDefinition, name: str, divided: Divided, there: Outline) -> Pairs:
        """Each partition with each one of the input that lies in its window and was not read, where some came since."""
        source, number = used.asset, self._graph.number.get(used.asset)
        if number is None or source == name or there.oldest >= self._graph.newest[number]:
            return ()
        above = self._graph.outlines[number]
        # With one partition each, what read the one in place has read all that is there.
        if there.settled and len(there.keys) == len(above.keys) == 1 and source in there.reads:
            return ()
        return self._divisions.unread(used, divided, there.keys, there.reads.get(source, ()), above.keys)

    def _come_since(
        self, used: InputDefinition, name: str, divided: Divided, there: Outline
    ) -> Iterable[tuple[str | None, str | None]]:
        """What has come since: each of these partitions with each one of the input that lies in its window, was not
        read, and was made, or of a source first observed, since."""
        unread, unseen = self.news(used, name, divided, there), self._observed_since(used, divided, there)
        if not unread and not unseen:
            return ()
        stands, source = last_said(self._facts.of(name)), self._facts.of(used.asset)
        # What was left out of the input was not made since: there is nothing to read.
        came = [(key, part, now.since) for key, part in unread if (now := source.made.get(part)) is not None]
        # What was seen before and was not read was left out on purpose, however often it is seen again.
        came += [(key, part, source.observed[part].first) for key, part in unseen]
        returned, partitions = self._facts.returned, self._facts.definitions[used.asset].partitions
        return [
            (key, part)
            for key, part, since in came
            if max(since, returned_at(returned, partitions, part)) > stands[key].started
        ]

    def _observed_since(self, used: InputDefinition, divided: Divided, there: Outline) -> Pairs:
        """Each partition with each one of a source that was observed, lies in its window, and was not read."""
        source = used.asset
        if source not in self._graph.divided_sources:
            return ()
        if source not in self._seen:
            known = self._facts.of(source)
            self._seen[source] = tuple([key for key in known.observed if key not in known.made])
        seen = self._seen[source]
        return self._divisions.unread(used, divided, there.keys, there.reads.get(source, ()), seen) if seen else ()

    def _consumed(self, name: str) -> tuple[dict[str, dict[str | None, str | None]], dict[str, Pairs]]:
        """What was read and is another version now, and all else that was read."""
        updated: dict[str, dict[str | None, str | None]] = {}
        others: dict[str, list[tuple[str | None, str | None]]] = {}
        for key, one in last_said(self._facts.of(name)).items():
            for used in one.inputs:
                asset, partition, version = used
                if asset == name and partition == key:
                    continue
                known = self._facts.assets.get(asset)
                now = None if known is None else known.made.get(partition)
                # Nearly always it is in place still: only otherwise, or where others gave word of it, is there a question.
                if (
                    known is not None
                    and (now is None or now.version != version or known.observed)
                    and self._is_news(known, now, used, one.started)
                ):
                    updated.setdefault(asset, {}).setdefault(key, partition)
                else:
                    others.setdefault(asset, []).append((key, partition))
        return updated, {asset: tuple(pairs) for asset, pairs in others.items()}

    def _is_news(self, known: AssetFacts, made: Made | None, used: Consumed, started: int) -> bool:
        """Whether another version than the one that was read is in place (`made`), or was seen last, since the reading began.

        What is made here is known exactly. Of anything else somebody gave word at some time, also of what was made here once: what
        was read after that may well be newer, and named in another way. What had been told before the reading began, and was told
        again, is no news.
        """
        seen = known.observed.get(used.partition)
        if used.version is None:
            return False
        if made is not None:
            is_source = self._facts.is_source(used.asset)
            is_ours = made.code_version is not None and not is_source
            if made.version != used.version and (is_ours or made.since > started):
                return True
            if not is_source or seen is None or seen.at <= made.at:
                return False
        if seen is None or seen.version in (None, used.version):
            return False
        # Hashes of the content are compared as such: a file may be put back after it was read.
        told = seen.at if is_hash(seen.version) and is_hash(used.version) else seen.since
        return told > started
