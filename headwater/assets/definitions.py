"""The definition of an asset as a frozen value: what the journal records and every pure function works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from headwater.assets.events import AssetRef
from headwater.records import dataclass
from headwater.types import SourceCode

if TYPE_CHECKING:
    from headwater.assets.freshness import Freshness
    from headwater.assets.mappings import PartitionMapping
    from headwater.assets.partitions import PartitionsDefinition


class InputDefinition(NamedTuple):
    """An input of an asset's function: the parameter that receives it, the asset, and which partitions of it are read."""

    parameter: str
    asset: str
    mapping: PartitionMapping


class Code(Protocol):
    """What knows its source, when it is asked."""

    def source_in(self, root: Path) -> SourceCode:
        """Where it stands relative to this folder, and the hash of its source."""
        ...

    def code_in(self, root: Path) -> tuple[str, Mapping[str, str]]:
        """Its version, and the fingerprints that this is made of, by what they are of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDefinition:
    """All that is defined of one asset. `code_version` is None for a source, which nothing here makes.

    `code` holds the fingerprints that `code_version` is made of, if it is of more than the function: of what that calls, too,
    and of constants.
    """

    ref: AssetRef
    partitions: PartitionsDefinition | None = None
    partition_column: str | Mapping[str, str] | None = None
    time_column: str | None = None
    freshness: Freshness | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    static: bool = False
    required: bool = False
    """Whether each call of its function has to make it: what a call left out before that was so says nothing any more."""

    description: str | None = None
    group: str | None = None
    renamed_from: str | None = None
    retired: bool = False
    inputs: tuple[InputDefinition, ...] = ()
    producer: str | None = None
    made_with: tuple[str, ...] = ()
    """The other assets that its function makes, too: one call makes them all."""

    code_version: str | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    source: SourceCode | None = None
    checks: tuple[str, ...] = ()
    check_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that each check is about, of those that are about some."""
    column_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _code: tuple[Code, Path] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The asset's name: its key inside the project."""
        return self.ref.name

    @property
    def is_source(self) -> bool:
        """Whether nothing here makes it: then it has no `code_version`. Asked without reading any code."""
        return self._code is None and self.code_version is None

    def of_code(self, code: Code, root: Path) -> AssetDefinition:
        """This definition, whose `code_version`, `code` and `source` are read from the code once one of them is asked for.

        Reading the source of a function takes longer than all else that defines an asset, and what only asks for the graph
        needs none of it. It is called right after the definition is made, by who made it.
        """
        for name in _OF_CODE:
            object.__delattr__(self, name)
        object.__setattr__(self, "_code", (code, root))
        return self

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only for what `of_code` took away: every other attribute is found before this is asked.
            if name not in _OF_CODE or self._code is None:
                raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)
            code, root = self._code
            source, (version, parts) = code.source_in(root), code.code_in(root)
            for one, value in zip(_OF_CODE, (version, parts, source), strict=True):
                object.__setattr__(self, one, value)
            return getattr(self, name)


_OF_CODE = ("code_version", "code", "source")
