"""Verdicts as columns: what most questions need of many, each made into a value when somebody looks at it."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from itertools import repeat
from typing import cast

from headwater.assets.freshness import FreshnessClock, Standing, Verdict
from headwater.assets.uncollected import uncollected

_VERDICTS: tuple[Verdict | None, ...] = ("fresh", "warn", "late", "unknown", "none", None, None)
_CLOCKS: tuple[FreshnessClock | None, ...] = ("data_through", "last_materialized", None)
_VERDICT_OF = tuple(verdict for verdict in _VERDICTS for _ in _CLOCKS)
_CLOCK_OF = _CLOCKS * len(_VERDICTS)
_STEP = len(_CLOCKS)


class Standings(Mapping[str, Standing]):
    """The freshness verdict on each asset, by name.

    >>> found = Standings(["a", "b"], [6, 13], b"[1,null]", b"[null,null]")
    >>> found.told
    {'a': 'late', 'b': 'none'}
    >>> found["a"]
    Standing(verdict='late', clock='data_through', at=1, next_change=None)
    """

    def __init__(
        self,
        names: list[str],
        codes: list[int],
        stands: str | bytes,
        changes: str | bytes,
        others: Mapping[str, Standing] | None = None,
    ) -> None:
        """Columns as the statement `verdicts` gives them, two of them as JSON still; `others` are known otherwise."""
        self._names, self._codes, self._stands, self._changes = names, codes, stands, changes
        self._others = {} if others is None else others

    @cached_property
    def told(self) -> Mapping[str, Verdict]:
        """The verdicts alone, by name: without the clocks it takes a small part of the time."""
        found = dict(zip(self._names, map(_VERDICT_OF.__getitem__, self._codes), strict=True))
        found.update((name, one.verdict) for name, one in self._others.items())
        return cast("dict[str, Verdict]", found)

    def are(self, verdict: int) -> Sequence[str]:
        """The names of which a column says this, see the statement."""
        codes = range(verdict * _STEP, (verdict + 1) * _STEP)
        if not any(code in self._codes for code in codes):
            return ()
        return [name for name, code in zip(self._names, self._codes, strict=True) if code in codes]

    @classmethod
    def of(cls, known: Mapping[str, Standing]) -> Standings:
        """These verdicts, whatever told them."""
        return cls([], [], b"[]", b"[]", known)

    def but(self, others: Mapping[str, Standing]) -> Standings:
        """The same, but for these."""
        return Standings(self._names, self._codes, self._stands, self._changes, {**self._others, **others})

    @cached_property
    def _all(self) -> Mapping[str, Standing]:
        import orjson

        with uncollected():
            told, clocks = map(_VERDICT_OF.__getitem__, self._codes), map(_CLOCK_OF.__getitem__, self._codes)
            rows = zip(told, clocks, orjson.loads(self._stands), orjson.loads(self._changes), strict=True)
            # So many are made in less than half the time that they take one by one.
            found: dict[str, Standing] = dict(
                zip(self._names, map(tuple.__new__, repeat(Standing), rows), strict=False)
            )
            found.update(self._others)
            return found

    def items(self) -> ItemsView[str, Standing]:
        """Each name with its verdict."""
        return self._all.items()

    def values(self) -> ValuesView[Standing]:
        """The verdicts with their clocks."""
        return self._all.values()

    def __getitem__(self, name: str) -> Standing:
        return self._all[name]

    def __contains__(self, name: object) -> bool:
        return name in self.told

    def __iter__(self) -> Iterator[str]:
        return iter(self.told)

    def __len__(self) -> int:
        return len(self.told)
