"""Where an asset lies: the grammar of location URIs, and the dataset that a location resolves to.

    parquet://lake/flights              a file `lake/flights.parquet`, or a folder with one file per partition
    duckdb://warehouse.duckdb/main.delays   a table in a database file (the schema is `main` when left out)
    csv://data/airlines.csv             a CSV file, read only
    memory://name                       a value in this process

Paths are taken as they stand (no percent-decoding, no query part): relative to the project's root, or absolute after a
third slash. What could mean something else than it looks like is refused: control characters, bidirectional controls,
`..`, parts that no file system can hold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from headwater.assets.events import AssetRef
from headwater.errors import DefinitionError, HeadwaterError

BUILT_IN = ("csv", "duckdb", "memory", "parquet")
"""The schemes that Headwater itself can read or write."""

READ_ONLY = ("csv",)
"""Those of them that are sources alone: nothing here writes them."""

OF_TABLES = ("csv", "duckdb", "parquet")
"""Those of them in which every value is a table."""

ENTRY_POINTS = "headwater.materializers"
"""The entry point group in which other packages register materializers; an entry's name is its scheme."""

VERSIONS_TABLE = "_headwater_versions"
"""The table in a DuckDB file in which the versions of that file's assets stand."""

_MAX_URI = 2_000
_MAX_NAME = 250
_MAX_PART = 200  # bytes; leaves room below 255 for the suffixes of locks, staging folders and files
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLAIN = re.compile(r"(parquet|csv)://(/?[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*)")
"""A location that passes every check and stays as it is: no part of its path is empty, `.` or `..`."""
_JOINERS = "\u200c\u200d"  # zero-width, but scripts and emoji need them


class Location(NamedTuple):
    """A location URI taken apart. `path` is relative to the project's root unless it begins with a slash."""

    scheme: str
    path: str
    schema: str | None = None
    table: str | None = None

    def resolve(self, root: Path) -> Path:
        """The absolute path of the file or folder, of the database file for a table.

        >>> str(parse_uri("parquet://lake/flights").resolve(Path("/project")))
        '/project/lake/flights'
        """
        return root.absolute() / self.path


def parse_uri(uri: str, *, where: str | None = None) -> Location:
    """Take a location URI apart; placeholders must be filled already (`fill`).

    Raises DefinitionError for a scheme that nothing here knows, and for a path or table that is not safe to use.

    >>> parse_uri("duckdb://warehouse.duckdb/delays")
    Location(scheme='duckdb', path='warehouse.duckdb', schema='main', table='delays')
    """
    try:
        return _parsed(uri) or _of_plugin(uri)
    except DefinitionError as error:
        error.where = where
        raise


@lru_cache(maxsize=65_536)
def _parsed(uri: str) -> Location | None:
    """A location of a built-in scheme; None for a scheme that only a plugin may know."""
    plain = _PLAIN.fullmatch(uri) if len(uri) <= _MAX_PART else None
    if plain is not None:
        return Location(scheme=plain[1], path=plain[2])
    check_text(uri, "a location", limit=_MAX_URI)
    found = _SCHEME.match(uri)
    if found is None:
        raise _without_scheme(uri)
    scheme, rest = found[1].lower(), uri[found.end() :]
    if not rest.strip("/"):
        raise DefinitionError(f"the location {uri!r} names no place", hint=_examples(scheme))
    parser = _PARSERS.get(scheme)
    return None if parser is None else parser(uri, rest)


def _of_plugin(uri: str) -> Location:
    scheme, _, rest = uri.partition("://")
    scheme = scheme.lower()
    if scheme in _plugin_schemes():
        return Location(scheme=scheme, path=rest)
    raise DefinitionError(
        f"locations of the scheme '{scheme}' are not supported: {uri!r}",
        hint=f"supported: {', '.join(f'{known}://' for known in known_schemes())}",
    )


def is_of_tables(uri: str) -> bool:
    """Whether all that can lie in a place is a table; in memory and in the format of a plugin anything can.

    >>> is_of_tables("duckdb://{db}/main.delays"), is_of_tables("memory://delays")
    (True, False)
    """
    return scheme_of(uri) in OF_TABLES


def scheme_of(uri: str) -> str:
    """The scheme of a place, whatever stands behind it.

    >>> scheme_of("DuckDB://{db}/main.delays")
    'duckdb'
    """
    return uri.partition("://")[0].lower()


def asset_ref(
    name: str, uri: str, *, root: Path | str, values: Mapping[str, str] | None = None, where: str | None = None
) -> AssetRef:
    """The reference of an asset: its placeholders filled, and its dataset named by OpenLineage's rules.

    Files are named `file` + absolute path, tables `duckdb://{path}` + `{file stem}.{schema}.{table}`, values in memory
    `memory` + name. A `root` that is a text must be absolute. Raises DefinitionError.

    >>> ref = asset_ref("delays", "duckdb://{db}/main.delays", root=Path("/p"), values={"db": "w.duckdb"})
    >>> ref.uri, ref.namespace, ref.dataset
    ('duckdb://w.duckdb/main.delays', 'duckdb:///p/w.duckdb', 'w.main.delays')
    """
    check_text(name, "an asset's name", limit=_MAX_NAME, where=where)
    filled = fill(uri, values or {}, where=where)
    location = parse_uri(filled, where=where)
    namespace, dataset = _dataset(location, root)
    return AssetRef(name=name, uri=filled, kind=location.scheme, namespace=namespace, dataset=dataset)


def fill(uri: str, values: Mapping[str, str], *, where: str | None = None) -> str:
    """Put values in the place of `{name}`; `{{` and `}}` stand for the braces themselves.

    Raises DefinitionError for a name that has no value.

    >>> fill("parquet://{lake}/flights", {"lake": "/data/dev"})
    'parquet:///data/dev/flights'
    """

    if "{" not in uri and "}" not in uri:
        return uri

    def value(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        name = match[1]
        if name is None:
            hint = "write '{{' and '}}' for the braces themselves"
            raise DefinitionError(f"a brace stands alone in the location {uri!r}", where=where, hint=hint)
        if name not in values:
            hint = f"known: {', '.join(sorted(values))}" if values else "no values for locations are set"
            raise DefinitionError(f"the location {uri!r} uses {{{name}}}, which is not set", where=where, hint=hint)
        return str(values[name])

    return _PLACEHOLDER.sub(value, uri)


def known_schemes() -> tuple[str, ...]:
    """All schemes that can be used here: Headwater's own, and those of installed plugins."""
    return tuple(sorted({*BUILT_IN, *_plugin_schemes()}))


def check_text(
    text: str,
    what: str,
    *,
    limit: int = _MAX_NAME,
    where: str | None = None,
    error: type[HeadwaterError] = DefinitionError,
) -> None:
    """Refuse text that is empty, too long, or holds characters that hide what it says.

    >>> check_text("flights", "a name")
    """
    if text and len(text) <= limit and text.isascii() and text.isprintable():
        return
    shown = repr(text if len(text) <= 80 else text[:77] + "…")
    if not text:
        raise error(f"{what} is empty", where=where)
    if len(text) > limit:
        message = f"{what} has {len(text):,} characters, more than {limit:,}: {shown}"
        raise error(message, where=where, hint="shorten it")
    bad = sorted({char for char in text if _is_hostile(char)})
    if bad:
        codes = ", ".join(f"U+{ord(char):04X}" for char in bad)
        hint = "leave out control characters, line breaks and invisible characters"
        raise error(f"{what} holds {codes}: {ascii(text)[:80]}", where=where, hint=hint)


def _is_hostile(char: str) -> bool:
    category = unicodedata.category(char)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and char not in _JOINERS)


def _without_scheme(uri: str) -> DefinitionError:
    suffix = Path(uri).suffix.lower()
    scheme = {".csv": "csv", ".parquet": "parquet"}.get(suffix)
    if scheme is not None:
        hint = f"write '{scheme}://{uri}'"
    else:
        hint = f"begin it with one of {', '.join(f'{known}://' for known in known_schemes())}"
    return DefinitionError(f"the location {uri!r} has no scheme", hint=hint)


def _examples(scheme: str) -> str:
    examples = {
        "parquet": "parquet://lake/flights",
        "duckdb": "duckdb://warehouse.duckdb/main.delays",
        "csv": "csv://data/airlines.csv",
        "memory": "memory://name",
    }
    return f"for example {examples.get(scheme, scheme + '://place')}"


def _path(uri: str, path: str) -> str:
    parts = path.split("/")
    if ".." in parts:
        hint = "name the place from the project's root, or as an absolute path (three slashes)"
        raise DefinitionError(f"the location {uri!r} leaves its folder by '..'", hint=hint)
    for part in parts:
        if len(part.encode()) > _MAX_PART:
            message = f"a part of the path has {len(part.encode()):,} bytes, more than {_MAX_PART}: {part[:60]}…"
            raise DefinitionError(message, hint="shorten it")
    kept = "/".join(part for part in parts if part not in ("", "."))
    if not kept:
        raise DefinitionError(f"the location {uri!r} names no place")
    return "/" + kept if path.startswith("/") else kept


def _parse_file(scheme: str, uri: str, rest: str) -> Location:
    return Location(scheme=scheme, path=_path(uri, rest))


def _parse_memory(_uri: str, rest: str) -> Location:
    return Location(scheme="memory", path=rest)


def _parse_duckdb(uri: str, rest: str) -> Location:
    file, slash, table = rest.rpartition("/")
    if not slash or not file.strip("/") or not table:
        hint = _examples("duckdb")
        raise DefinitionError(f"the location {uri!r} needs a file and a table", hint=hint)
    parts = table.split(".")
    if len(parts) > 2 or not all(parts):
        message = f"{table!r} in the location {uri!r} is not a table, or a schema and a table"
        raise DefinitionError(message, hint=_examples("duckdb"))
    schema, name = parts if len(parts) == 2 else ("main", parts[0])
    if name.lower() == VERSIONS_TABLE:
        raise DefinitionError(f"the table {VERSIONS_TABLE} is Headwater's own", hint="choose another name")
    return Location(scheme="duckdb", path=_path(uri, file), schema=schema, table=name)


_PARSERS: dict[str, Callable[[str, str], Location]] = {
    "csv": partial(_parse_file, "csv"),
    "duckdb": _parse_duckdb,
    "memory": _parse_memory,
    "parquet": partial(_parse_file, "parquet"),
}


def _dataset(location: Location, root: Path | str) -> tuple[str, str]:
    if location.scheme == "memory":
        return "memory", location.path
    if location.scheme == "duckdb":
        file = location.resolve(Path(root))
        return f"duckdb://{file}", f"{file.stem}.{location.schema}.{location.table}"
    if location.scheme in BUILT_IN:
        folder = root if isinstance(root, str) else str(root.absolute())
        # Joined as text, in a twentieth of a Path's time.
        return "file", location.path if location.path[0] == "/" else f"{folder.rstrip('/')}/{location.path}"
    authority, _, rest = location.path.partition("/")
    return f"{location.scheme}://{authority}", rest or authority


def _plugin_schemes() -> Iterable[str]:
    # Only asked for a scheme that is not ours: reading the installed packages' metadata takes milliseconds.
    from importlib.metadata import entry_points

    return {entry.name for entry in entry_points(group=ENTRY_POINTS)}
