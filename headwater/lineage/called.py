"""What datasets are called now: by the name that an asset has, also those that it was before it was renamed and moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from headwater.lineage.names import Dataset
from headwater.lineage.statements import statements
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.assets.definitions import AssetDefinition
    from headwater.lineage.session import Session

Told: TypeAlias = tuple[str, str, str, bool]
"""Namespace and dataset, what it was called when something was told of it, and whether a definition tells of it."""
_NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesNow:
    """The dataset that each name stands for, and the one that a dataset was `before` it was renamed and moved.

    An `earlier` name is one that what is loaded was renamed from, and that nothing has which is loaded.

    >>> old, new = ("file", "/old"), ("file", "/new")
    >>> NamesNow(by_name={"arrivals": new}, before={new: old}).all()
    {('file', '/new'): 'arrivals', ('file', '/old'): 'arrivals'}
    """

    by_name: Mapping[str, Dataset]
    before: Mapping[Dataset, Dataset] = field(default_factory=dict)
    earlier: frozenset[str] = frozenset()

    def all(self) -> dict[Dataset, str]:
        """The name of every dataset that an asset is, or was before it was renamed and moved."""
        named = {place: name for name, place in self.by_name.items() if name not in self.earlier}
        return named | self.renamed(named)

    def renamed(self, named: Mapping[Dataset, str]) -> dict[Dataset, str]:
        """The datasets that assets among these were before they were renamed and moved, with their names of now."""
        if not self.before:
            return {}
        chains = {place: old for place in named if (old := self.once(place))}
        passed = {old for chain in chains.values() for old in chain}
        found: dict[Dataset, str] = {}
        for place, chain in chains.items():
            if place not in passed:
                found = dict.fromkeys(chain, named[place]) | found
        return found

    def moved(self) -> dict[Dataset, Dataset]:
        """The datasets that assets were before they were renamed and moved, each with the dataset that it is now."""
        return {old: self.by_name[name] for old, name in self._former().items()}

    def former(self) -> dict[str, list[str]]:
        """The datasets that assets were, each with the name of now, as parameters of a statement."""
        return _parameters((*place, name) for place, name in self._former().items())

    def _former(self) -> dict[Dataset, str]:
        return self.renamed({place: name for name, place in self.by_name.items()})

    def told(self, rows: Iterable[Told], names: Collection[str] | None = None) -> dict[str, list[str]]:
        """Of datasets that something is told of, those that these assets are and were (all when None), each with the name of now.

        As parameters of a statement. What no definition tells of goes by what it was called, unless something else is called so;
        a dataset in another environment, where the name stands for something else, is left out.
        """
        now, wanted = self.all(), None if names is None else frozenset(names)
        found = []
        for namespace, dataset, said, defined in rows:
            name = now.get((namespace, dataset))
            if name is None and not defined and said not in self.by_name:
                name = said
            if name is not None and (wanted is None or name in wanted):
                found.append((namespace, dataset, name))
        return _parameters(found)

    def places(self, name: str) -> list[Dataset]:
        """The dataset that an asset is, and those that it was; none of a name that stands for nothing."""
        place = self.by_name.get(name)
        return [] if place is None else [place, *self.once(place)]

    def once(self, place: Dataset) -> list[Dataset]:
        """The datasets that another one was before it was renamed and moved, the last one first."""
        found: list[Dataset] = []
        old = self.before.get(place)
        while old is not None:
            found.append(old)
            old = self.before.get(old)
        return found


def _parameters(called: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    found = list(called)
    return {key: [one[at] for one in found] for at, key in enumerate(("namespaces", "datasets", "names"))}


def names_now(session: Session, loaded: Mapping[str, AssetDefinition]) -> NamesNow:
    """What names stand for by the journal, and by what is loaded."""
    recorded: list[tuple[str, Dataset, str | None]] = []
    if not all_loaded(session, loaded):
        rows = session.rows(statements("catalog.sql")["called"], {"loaded": list(loaded)})
        recorded = [(name, (namespace, dataset), before) for name, namespace, dataset, before in rows]
    return by_definitions(session, recorded, loaded)


def all_loaded(session: Session, loaded: Mapping[str, AssetDefinition]) -> bool:
    """Whether all that was ever defined is loaded, as it mostly is: to see that takes a tenth of what definitions take."""
    rows = session.rows(statements("catalog.sql")["defined_names"])
    return loaded.keys() >= {name for (name,) in rows}


def by_definitions(
    session: Session, recorded: Iterable[tuple[str, Dataset, str | None]], loaded: Mapping[str, AssetDefinition]
) -> NamesNow:
    """The same where it is known what was recorded by names that are not loaded: name, dataset, earlier name; the oldest first."""
    by_name: dict[str, Dataset] = {}
    renamed = any(one.renamed_from is not None for one in loaded.values())
    for name, place, before in recorded:
        by_name[name] = place
        renamed = renamed or before is not None
    by_name |= {one.ref.name: (one.ref.namespace, one.ref.dataset) for one in loaded.values()}
    if not renamed:
        return NamesNow(by_name=by_name)
    earlier = frozenset({one.renamed_from or "" for one in loaded.values()} - loaded.keys())
    return NamesNow(by_name=by_name, before=_before(session, loaded), earlier=earlier)


def _before(session: Session, loaded: Mapping[str, AssetDefinition]) -> dict[Dataset, Dataset]:
    """The dataset that each one was before it was renamed and moved."""
    says = {(one.ref.namespace, one.ref.dataset): one for one in loaded.values()}
    given = [one for one in says.values() if one.renamed_from is not None]
    parameters = {
        "never": _NEVER,
        "names": [one.ref.name for one in given],
        "namespaces": [one.ref.namespace for one in given],
        "datasets": [one.ref.dataset for one in given],
        "befores": [one.renamed_from for one in given],
    }
    likeliest: dict[Dataset, tuple[int, Dataset]] = {}
    for said, *texts, namespace, dataset in session.rows(statements("catalog.sql")["called_before"], parameters):
        place, old = (texts[0], texts[1]), (namespace, dataset)
        now, other = says.get(place), likeliest.get(place)
        # What is loaded is an asset of its own, whatever it was called.
        if old in says or (now is not None and now.renamed_from is None):
            continue
        if other is None or _nearness(place, old) >= _nearness(place, other[1]):
            likeliest[place] = said, old
    found = NamesNow(by_name={}, before=(before := dict[Dataset, Dataset]()))
    # What was moved there and back is where it was moved last.
    for place, (_, old) in sorted(likeliest.items(), key=lambda one: one[1], reverse=True):
        if place != old and place not in found.once(old):
            before[place] = old
    return before


def _nearness(place: Dataset, other: Dataset) -> int:
    """How many folders two places are within together: datasets of one name that are far apart are those of two environments."""
    ours, theirs = ("/".join(one).split("/") for one in (place, other))
    return next((at for at, (one, two) in enumerate(zip(ours, theirs, strict=False)) if one != two), len(ours))
