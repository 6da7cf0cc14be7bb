"""Settings: `[tool.headwater]` in `pyproject.toml`, overridden by `HEADWATER_*` in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from math import inf
from pathlib import Path
from typing import Any

from headwater import failpoints
from headwater.errors import SettingsError, UnknownNameError
from headwater.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The project's settings, with the root that relative locations start from.

    >>> Settings(root=Path("/srv/shop")).home_path
    PosixPath('/srv/shop/.headwater')
    """

    root: Path
    """The folder of the nearest `pyproject.toml`, else the current one."""
    project: str = ""
    """The project's name: the OpenLineage job namespace unless `openlineage_namespace` says otherwise."""
    home: str = ".headwater"
    """Where the journal and the projection live, relative to the root; `load` has expanded `~` in it, as in all paths."""
    modules: tuple[str, ...] = ()
    """Modules in which assets and flows are defined."""
    openlineage_namespace: str = ""
    """The namespace of jobs in OpenLineage; the project's name when empty."""
    openlineage_file: str = ""
    """A file that OpenLineage events are appended to, relative to the root; none when empty."""
    openlineage_drain: float = 0.2
    """Seconds that a process waits at its end for OpenLineage events to go out."""
    results: str = ""
    """Where kept results lie, relative to the root; in the home when empty."""
    refresh: bool = False
    """Whether tasks with a cache compute anew, and keep that, unless they say otherwise."""
    locations: Mapping[str, str] | None = None
    """Values for `{names}` in asset locations, so that dev and prod differ without code."""
    limits: Mapping[str, int] | None = None
    """How many may hold a limit at once, by its name; `tag:` and a tag is the limit of all tasks with that tag."""

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return (self.root / self.home).absolute()


_NAMES = frozenset(field.name for field in fields(Settings)) - {"root"}
_PREFIX, _VARIABLE = "HEADWATER_", "the environment variable"


def find_root(start: str | Path | None = None) -> Path:
    """The folder of the nearest `pyproject.toml` at or above `start`, else `start` itself. Raises SettingsError."""
    try:
        start = Path(start or "").absolute()
        return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), start)
    except OSError as error:
        # The current folder was removed while a shell stood in it, or lies in one that is closed to this user.
        where = error.filename or start
        raise SettingsError(
            f"the project can't be looked for: {error.strerror}",
            where=str(where or "the current folder"),
            hint="change to a folder that is there and that you may read (cd)",
        ) from error


def load(root: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that hold in a folder. Raises SettingsError naming the setting and where it was given."""
    root = find_root(root)
    environ = os.environ if environ is None else environ
    failpoints.armed_by(environ)
    found, origin = _given(root, environ)
    return _validated({"project": root.name or "headwater", **found, "root": root}, origin)


def origins(root: str | Path | None = None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each setting that somebody has set was set; the others have their defaults. Raises SettingsError."""
    return _given(find_root(root), os.environ if environ is None else environ)[1]


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[UnknownNameError]:
    """What is wrong with each variable that looks like a setting and is passed over: most are typing errors.

    No error of every command, as in `pyproject.toml`: the environment is not ours alone. Kubernetes, for one, tells of a
    service of that name in `HEADWATER_PORT`.

    >>> [error.hint for error in unknown_variables({"HEADWATER_HOEM": "/data", "HEADWATER_REFRESH": "1"})]
    ["did you mean 'home'?"]
    """
    known = {name.upper() for name in _NAMES}
    environ = os.environ if environ is None else environ
    given = {name.removeprefix(_PREFIX) for name in environ if name.startswith(_PREFIX)}
    unknown = sorted(given - known - {failpoints.VARIABLE.removeprefix(_PREFIX)})
    return [
        UnknownNameError.of("setting", name.lower(), map(str.lower, known), where=f"{_VARIABLE} {_PREFIX}{name}")
        for name in unknown
    ]


def _given(root: Path, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    found, origin = _from_pyproject(root)
    for name in sorted(_NAMES):
        value = environ.get(f"{_PREFIX}{name.upper()}")
        if value or (value is not None and name in _NONE_WHEN_EMPTY):
            found[name] = _PARSED[name](value) if name in _PARSED else value
            origin[name] = f"{_VARIABLE} {_PREFIX}{name.upper()}"
    for name in found:
        if name not in _NAMES:
            raise UnknownNameError.of("setting", name, _NAMES, where=origin[name])
    return found, origin


_NONE_WHEN_EMPTY = frozenset({"limits", "locations", "modules", "openlineage_file", "openlineage_namespace", "results"})
"""An empty variable takes away what `pyproject.toml` says of these; of any other setting it counts as not there."""


def _limits(value: str) -> dict[str, object]:
    """The limits of an environment variable, `warehouse=3,tag:etl=2`; what is no number stays as it is, to be refused."""
    pairs = [one.rpartition("=") if "=" in one else (one, "", "") for one in value.split(",") if one]
    # A number of more digits is refused like any other text: to Python it would be an error of its own.
    return {
        name.strip(): int(number) if number.strip().isdecimal() and len(number) <= 100 else number
        for name, _, number in pairs
    }


def _locations(value: str) -> dict[str, str]:
    """The locations of an environment variable, `lake=/data/lake,db=shop.duckdb`: all, so that none of another environment's stays.

    A value may hold `=`. Raises SettingsError for what has no name.
    """
    found = {}
    for one in filter(None, map(str.strip, value.split(","))):
        name, stands, place = one.partition("=")
        if not name.strip() or not stands:
            raise SettingsError(
                f"the location {one!r} has no name",
                where=f"{_VARIABLE} {_PREFIX}LOCATIONS",
                hint="write HEADWATER_LOCATIONS=lake=/data/lake,db=/data/shop.duckdb",
            )
        found[name.strip()] = place.strip()
    return found


_PARSED: dict[str, Callable[[str], Any]] = {
    "locations": _locations,
    "modules": lambda value: [one.strip() for one in value.split(",") if one.strip()],
    "limits": _limits,
}


def _from_pyproject(root: Path) -> tuple[dict[str, Any], dict[str, str]]:
    path = root / "pyproject.toml"
    if not path.is_file():
        return {}, {}
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "mend its permissions, or change to another project"
        raise SettingsError(f"pyproject.toml can't be read: {error.strerror}", where=str(path), hint=hint) from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of thousands of digits, lists in lists
        hint = "mend the file: a table begins with [tool.headwater], a text stands in quotes"
        raise SettingsError(f"pyproject.toml can't be read: {error}", where=str(path), hint=hint) from error
    found = dict(_table(_table(tables, "tool", path), "headwater", path, "tool."))
    origin = dict.fromkeys(found, f"[tool.headwater] in {path}")
    named = _table(tables, "project", path)
    if "name" in named and "project" not in found:
        found["project"], origin["project"] = named["name"], f"[project] in {path}"
    return found, origin


def _table(of: Mapping[str, Any], name: str, path: Path, above: str = "") -> Mapping[str, Any]:
    found = of.get(name, {})
    if not isinstance(found, dict):
        hint = f"write [{above}{name}], and below it a setting a line"
        raise SettingsError(f"'{above}{name}' in pyproject.toml is no table", where=str(path), hint=hint)
    return found


_EXAMPLES = {
    "modules": 'write modules = ["shop"]',
    "openlineage_drain": "write seconds: openlineage_drain = 2.5",
    "refresh": "write refresh = true, or HEADWATER_REFRESH=1 for a single run",
    "locations": 'write a table: locations = { lake = "/data/lake" }',
}


_TEXTS = frozenset({"project", "home", "results", "openlineage_namespace", "openlineage_file"})


def _is_plain(name: str, value: object) -> bool:
    """Whether a value has the type of its setting already."""
    if name == "modules":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if name == "limits":
        return isinstance(value, dict)
    return name in _TEXTS and isinstance(value, str)


def _check_limits(limits: object, where: str | None) -> None:
    hint = "write [tool.headwater.limits] with warehouse = 3, or HEADWATER_LIMITS=warehouse=3,tag:etl=2"
    if not isinstance(limits, dict):
        raise SettingsError(f"the setting 'limits' is a table, got {limits!r}", where=where, hint=hint)
    for name, number in limits.items():
        if not name or not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise SettingsError(f"the limit '{name}' is a number from 1, got {number!r}", where=where, hint=hint)


_PATHS = ("home", "results", "openlineage_file")


def _check_paths(values: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    for name in _PATHS:
        value = str(values.get(name, ""))
        if "\0" in value:
            raise SettingsError(
                f"the setting '{name}' is no path: it holds a NUL",
                where=origin.get(name),
                hint="mend it, or leave it out",
            )
        if value.startswith("~"):
            raise SettingsError(
                f"the setting '{name}' is '{value}', and nobody knows where that home folder is",
                where=origin.get(name),
                hint=f"write the whole path, or './{value}' for a folder of that name",
            )


def _expanded(values: dict[str, Any]) -> dict[str, Any]:
    """The same with `~` at the beginning of paths as a shell reads it, which never sees `pyproject.toml`."""

    def expanded(value: object) -> object:
        # Path.expanduser raises where nobody's home is known, as in some containers.
        return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111

    found = values | {name: expanded(values[name]) for name in _PATHS if name in values}
    if isinstance(locations := values.get("locations"), dict):
        found["locations"] = {name: expanded(value) for name, value in locations.items()}
    return found


def _validated(values: dict[str, Any], origin: Mapping[str, str]) -> Settings:
    if "limits" in values:
        _check_limits(values["limits"], origin.get("limits"))
    values = _expanded(values)
    _check_paths(values, origin)
    if all(_is_plain(name, values[name]) for name in origin):
        return Settings(**{**values, "modules": tuple(values.get("modules", ()))})
    # pydantic costs 75 ms to import: only those pay for it whose settings are to be converted, or refused.
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(Settings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(
            f"the setting '{name}' is wrong: {first['msg']}, got {first['input']!r}",
            where=origin.get(name),
            hint=_EXAMPLES.get(name, "mend it, or leave it out"),
        ) from error
    if not 0 <= found.openlineage_drain < inf:
        raise SettingsError(
            f"the setting 'openlineage_drain' is a number of seconds from 0, got {found.openlineage_drain!r}",
            where=origin.get("openlineage_drain"),
            hint=_EXAMPLES["openlineage_drain"],
        )
    return found
