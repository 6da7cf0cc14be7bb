"""What `headwater doctor` looks at: each check yields findings, and changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headwater import clock, settings
from headwater.cli.output import size_of
from headwater.errors import HeadwaterError, HomeError, SettingsError
from headwater.records import dataclass
from headwater.wording import counted, listed

if TYPE_CHECKING:
    from headwater.core.journal.home import Home
    from headwater.project import Project

State = Literal["ok", "warn", "fail"]

_REMOTE = ("nfs", "cifs", "smb", "fuse.sshfs", "afs", "9p", "lustre", "glusterfs", "ceph")
_LITTLE, _TOO_LITTLE = 1 << 30, 64 << 20
_FILES = 256
_AHEAD = 60
_SHOWN = 5
_LETTERS = 500
"""So many of the value of a setting are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: whether it is well, what was seen, and what to do when it is not."""

    name: str
    state: State
    text: str
    hint: str | None = None


Check = Callable[["Project"], Iterator[Finding]]


def examine(project: Project) -> Iterator[Finding]:
    """All findings, in the order of the checks. What goes wrong in a check is a finding itself."""
    for name, check in _CHECKS.items():
        try:
            yield from check(project)
        except HeadwaterError as error:
            where = f" ({error.where})" if error.where else ""
            yield Finding(name=name, state="fail", text=error.message + where, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - a doctor that falls ill helps nobody
            hint = "this should not happen: please report it"
            yield Finding(name=name, state="fail", text=f"{type(error).__name__}: {error}", hint=hint)


def _python(_: Project) -> Iterator[Finding]:
    version, platform = sys.version.split()[0], f"{sys.platform} {os.uname().machine}"
    yield Finding(name="python", state="ok", text=f"{version} on {platform}")


def _packages(_: Project) -> Iterator[Finding]:
    found, missing = [f"headwater {metadata.version('headwater')}"], []
    for requirement in metadata.requires("headwater") or ():
        name = requirement.partition(";")[0].strip()
        name = name[: next((place for place, char in enumerate(name) if char in "<>=!~[ "), len(name))]
        if "extra ==" in requirement:
            continue
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        hint = f"install them again: pip install {' '.join(missing)}"
        yield Finding(name="packages", state="fail", text=f"missing: {', '.join(missing)}", hint=hint)
    yield Finding(name="packages", state="ok", text=", ".join(found))


def _settings(project: Project) -> Iterator[Finding]:
    origins = settings.origins(project.root)
    names = [field.name for field in fields(project.settings) if field.name in origins]
    given = [f"{name} = {_cut(_told(name, getattr(project.settings, name)))} from {origins[name]}" for name in names]
    text = f"root {project.root}; " + ("; ".join(given) if given else "all have their defaults")
    yield Finding(name="settings", state="ok", text=text)
    for error in settings.unknown_variables():
        text = f"{error.where} is passed over: {error.message}"
        yield Finding(name="settings", state="warn", text=text, hint=error.hint)


def _told(name: str, value: Any) -> str:
    """A setting's value as it is shown. Of locations only the names: a place may be an address with a password in it."""
    if name == "locations":
        return ", ".join(f"{{{one}}}" for one in value) or "none"
    return repr(value)


def _cut(text: str) -> str:
    """Not all of a long value: there may be thousands of limits."""
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}… ({len(text):,} letters)"


def _home(project: Project) -> Iterator[Finding]:
    from headwater.core.journal.home import INCOMPLETE, is_there

    path = project.settings.home_path
    if not is_there(path):
        yield Finding(name="home", state="ok", text=f"{path} is made by the first run")
        if not os.access(_nearest(path), os.W_OK | os.X_OK):
            hint = "mend the permissions, or set HEADWATER_HOME"
            yield Finding(name="home", state="fail", text=f"{_nearest(path)} can't be written", hint=hint)
        return
    home = _opened(project)
    size = sum(one.st_size for one in _files(path))
    text = f"{home.path}, {home.marker.read_text().strip()}, {size_of(size)}"
    missing = [folder.name for folder in (home.locks, home.tmp) if not folder.exists()]
    if missing:
        yield Finding(name="home", state="warn", text=f"{text}, without {' and '.join(missing)}", hint=INCOMPLETE)
    elif home.is_writable():
        yield Finding(name="home", state="ok", text=f"{text}, writable")
    else:
        hint = "it can be looked at; to record something, mend the permissions, or set HEADWATER_HOME"
        yield Finding(name="home", state="warn", text=f"{text}, not writable", hint=hint)


def _file_system(project: Project) -> Iterator[Finding]:
    path = _nearest(project.settings.home_path)
    kind = file_system(path)
    if kind and kind.startswith(_REMOTE):
        hint = "locks may not hold there: put the home on a local disk, with HEADWATER_HOME"
        yield Finding(name="file system", state="warn", text=f"{path} lies on {kind}", hint=hint)
    else:
        yield Finding(name="file system", state="ok", text=kind or "its kind is not told by this system")


def _disk(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(_nearest(project.settings.home_path)).free
    state: State = "ok" if free > _LITTLE else "warn" if free > _TOO_LITTLE else "fail"
    hint = None if state == "ok" else "free some space: a run that can't be recorded fails"
    yield Finding(name="disk", state=state, text=f"{size_of(free)} free", hint=hint)


def _journal(project: Project) -> Iterator[Finding]:
    from headwater.core.journal.files import carrier_of

    if not _has_home(project):
        return
    carrier = carrier_of(_opened(project))
    writers = carrier.writers()
    alive = sum(state.alive for state in writers.values())
    yield Finding(name="journal", state="ok", text=f"{len(writers):,} segments, {alive} being written")
    damage = carrier.verify()
    for one in damage[:_SHOWN]:
        hint = "what can be read is used; keep a copy of the segment, and look at the disk and its backups"
        yield Finding(name="journal", state="fail", text=str(one), hint=hint)
    if len(damage) > _SHOWN:
        yield Finding(name="journal", state="fail", text=f"and {len(damage) - _SHOWN} more", hint="headwater verify")


def _projection(project: Project) -> Iterator[Finding]:
    from headwater.lineage.condition import condition
    from headwater.lineage.store import check_path

    if not _has_home(project):
        return
    home = _opened(project)
    check_path(home.database)
    if not home.database.exists():
        yield Finding(name="projection", state="ok", text="not there: the next look builds it from the journal")
        return
    if not home.is_writable():
        yield Finding(name="projection", state="ok", text="left alone: each look builds one of its own elsewhere")
        return
    found = condition(home)
    if found.damage is not None:
        hint = "nothing is lost: the next look rebuilds it from the journal, and so does headwater rebuild"
        yield Finding(name="projection", state="warn", text=f"it can't be used: {found.damage}", hint=hint)
    elif found.held is not None:
        hint = "close that program when commands have to wait; a look builds a private copy meanwhile"
        yield Finding(name="projection", state="warn", text=found.held, hint=hint)
    else:
        behind = counted(found.behind or 0, "event")
        how = f"{behind} behind: the next look reads what is new" if found.behind else "up to date"
        yield Finding(name="projection", state="ok", text=f"{size_of(home.database.stat().st_size)}, {how}")


def _clock(project: Project) -> Iterator[Finding]:
    now = clock.now_us() / 1_000_000
    folder = project.settings.home_path / "journal"
    newest = max((one.st_mtime for one in _files(folder)), default=0.0)
    if newest > now + _AHEAD:
        text = f"the journal was written {newest - now:,.0f} s in the future of this machine's clock"
        hint = "set the clock (NTP): verdicts and lags depend on it"
        yield Finding(name="clock", state="warn", text=text, hint=hint)
    else:
        yield Finding(name="clock", state="ok", text=f"{clock.rfc3339(clock.now_us())[:19]}Z")


def _limits(_: Project) -> Iterator[Finding]:
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files != resource.RLIM_INFINITY and files < _FILES
    hint = "raise it: ulimit -n 4096" if few else None
    text = f"{files:,} open files, {os.cpu_count() or 1} processors"
    yield Finding(name="limits", state="warn" if few else "ok", text=text, hint=hint)
    try:
        import multiprocessing.synchronize  # noqa: F401
    except ImportError as error:
        yield Finding(name="limits", state="warn", text=f"no processes: {error}", hint="use threads, or mount /dev/shm")


def _modules(project: Project) -> Iterator[Finding]:
    from headwater.loading import load_modules

    for name in project.settings.modules:
        load_modules((name,), project.root)
    count = len(project.definitions.all())
    named = listed(project.settings.modules)
    none = "none are named in the settings; commands take -f FILE or -m MODULE"
    yield Finding(name="modules", state="ok", text=f"{named}: {counted(count, 'asset')}" if named else none)


def _locations(project: Project) -> Iterator[Finding]:
    from headwater.assets.location import parse_uri

    problems, count = [], 0
    for name, definition in project.definitions.all().items():
        if definition.ref.kind not in ("parquet", "csv", "duckdb"):
            continue
        count += 1
        path = parse_uri(definition.ref.uri).resolve(project.root)
        wrong = _unusable(path, writes=not definition.is_source)
        if wrong:
            problems.append(f"{name}: {wrong}")
    hint = "mend the permissions, or point the asset at another place"
    for text in problems[:_SHOWN]:
        yield Finding(name="locations", state="fail", text=text, hint=hint)
    if len(problems) > _SHOWN:
        yield Finding(name="locations", state="fail", text=f"and {len(problems) - _SHOWN:,} more", hint=hint)
    if count and not problems:
        yield Finding(name="locations", state="ok", text=f"{count:,} files and folders, readable and writable")


def _openlineage(project: Project) -> Iterator[Finding]:
    if file := project.settings.openlineage_file:
        path = project.root / file
        there = os.path.exists(path) and not path.is_file()  # noqa: PTH110 - as in _nearest
        if wrong := f"{path} is no file" if there else _unusable(path, writes=True):
            hint = "mend its permissions, or name another with the setting openlineage_file; nothing is lost meanwhile"
            yield Finding(name="openlineage", state="fail", text=f"events can't be written: {wrong}", hint=hint)
    exporters = project.exporters()
    try:
        exporters += project.trace_exporters()
    except SettingsError as error:
        yield Finding(name="openlineage", state="warn", text=f"traces: {error.message}", hint=error.hint)
    if not exporters:
        yield Finding(name="openlineage", state="ok", text="no destination is configured")
        return
    if not _has_home(project):
        yield Finding(name="openlineage", state="ok", text=f"{len(exporters)} destinations, nothing to deliver yet")
        return
    _opened(project)
    for exporter in exporters:
        found = exporter.status()
        text = f"{found.destination}: {found.delivered:,} delivered, {found.pending:,} pending, {found.dead:,} refused"
        if found.error:
            hint = "nothing is lost: it is tried again; headwater openlineage status tells when"
            yield Finding(name="openlineage", state="warn", text=f"{text}; last error: {found.error}", hint=hint)
        else:
            dead = "headwater openlineage dead lists them" if found.dead else None
            yield Finding(name="openlineage", state="warn" if found.dead else "ok", text=text, hint=dead)


_CHECKS: dict[str, Check] = {
    "python": _python,
    "packages": _packages,
    "settings": _settings,
    "home": _home,
    "file system": _file_system,
    "disk": _disk,
    "journal": _journal,
    "projection": _projection,
    "clock": _clock,
    "limits": _limits,
    "modules": _modules,
    "locations": _locations,
    "openlineage": _openlineage,
}


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The kind of the file system that a path lies on; None where the system does not tell (macOS)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    path = path.resolve()
    best, kind = -1, None
    for line in lines:
        _, place, found, *_ = line.split(" ")
        point = Path(place.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), found
    return kind


def _files(folder: Path) -> Iterator[os.stat_result]:
    """The files below a folder; what is at work there meanwhile makes some, and takes others away."""
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield os.stat(f"{place}/{name}")  # noqa: PTH116 - many names, of which no path is needed


def _opened(project: Project) -> Home:
    from headwater.core.journal.home import Home

    path = project.settings.home_path
    if not path.is_dir():
        raise HomeError("the home is not a folder", where=str(path), hint="remove it, or set HEADWATER_HOME")
    return Home.open(path, create=False)


def _has_home(project: Project) -> bool:
    """Whether there is a home to look into; one that is out of reach is a finding of its own."""
    return os.path.exists(project.settings.home_path)  # noqa: PTH110 - as in _nearest


def _unusable(path: Path, *, writes: bool) -> str | None:
    if not os.path.exists(path):  # noqa: PTH110 - as in _nearest
        near = _nearest(path)
        if near.is_dir() and not os.access(near, os.X_OK):
            return f"what is in {near} can't be reached"
        return None if not writes or os.access(near, os.W_OK | os.X_OK) else f"{near} can't be written"
    if not os.access(path, os.R_OK):
        return f"{path} can't be read"
    return None if not writes or os.access(path, os.W_OK) else f"{path} can't be written"


def _nearest(path: Path) -> Path:
    # Path.exists raises where a folder on the way is closed to us.
    return next((one for one in (path, *path.parents) if os.path.exists(one)), Path("/"))  # noqa: PTH110
