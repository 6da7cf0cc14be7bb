"""The destinations that are configured in openlineage-python's way: its variables, and `openlineage.yml`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.errors import SettingsError

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport import Transport

    from headwater.lineage.openlineage.destination import Destination

_FILE = "openlineage.yml"
_NEEDS_CLIENT = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NETRC")
_NEEDS_CLIENT_FOR_TLS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What changes how openlineage-python's HTTP transport reaches a collector: with one of them set, it does the work."""


def is_configured(root: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Whether there may be destinations: cheap, and without reading any file.

    >>> is_configured(Path("/"), {"OPENLINEAGE_URL": "http://marquez:5000"})
    True
    >>> is_configured(Path("/"), {"OPENLINEAGE_URL": "http://marquez:5000", "OPENLINEAGE_DISABLED": "true"})
    False
    """
    environ = os.environ if environ is None else environ
    if environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return bool(
        environ.get("OPENLINEAGE_URL")
        or environ.get("OPENLINEAGE_CONFIG")
        or any(name.startswith("OPENLINEAGE__TRANSPORT") for name in environ)
        or config_file(root, environ)
    )


def config_file(root: Path, environ: Mapping[str, str] | None = None) -> Path | None:
    """The file that openlineage-python would read here; the project's root counts as a current folder."""
    environ = os.environ if environ is None else environ
    named = environ.get("OPENLINEAGE_CONFIG")
    places = (Path.cwd() / _FILE, root / _FILE, _of_user(".openlineage") / _FILE)
    found = (Path(named), *places) if named else places
    # Path.is_file raises where a folder may not be looked into: a container may run as somebody whose home is another one's.
    return next((path for path in found if os.path.isfile(path)), None)  # noqa: PTH113


def _of_user(name: str) -> Path:
    # Path.expanduser raises where nobody's home is known, as in some containers.
    return Path(os.path.expanduser(f"~/{name}"))  # noqa: PTH111


def destinations(root: Path) -> Sequence[Destination]:
    """All destinations that are configured; those of a composite transport one by one. Raises SettingsError."""
    if not is_configured(root):
        return ()
    _check_key(os.environ.get("OPENLINEAGE_API_KEY", ""))
    _check_named(os.environ.get("OPENLINEAGE_CONFIG", ""))
    plain = _plain(root, os.environ)
    if plain is not None:
        return (plain,)
    _check_file(config_file(root))
    try:
        with _environment(root):
            return _of_client()
    except Exception as error:
        from headwater.lineage.openlineage.answers import excerpt

        secrets = [value for name, value in os.environ.items() if name.startswith("OPENLINEAGE") and "KEY" in name]
        raise SettingsError(
            f"OpenLineage is configured wrongly: {type(error).__name__}: {excerpt(str(error), secrets)}",
            where=str(config_file(root) or "the variables OPENLINEAGE_…"),
            hint="it is read as openlineage-python reads it; OPENLINEAGE_DISABLED=true switches it off",
        ) from error


def _check_key(key: str) -> None:
    # What refuses it as it is sent would quote it.
    if not key.isprintable() or any(char > "\xff" for char in key):
        raise SettingsError(
            "the API key holds characters that can't be sent",
            where="the variable OPENLINEAGE_API_KEY",
            hint="a key that was read from a file may end in a line break: leave that out",
        )


def _check_named(file: str) -> None:
    # The client would go on as if nothing had been said.
    if file and not os.path.isfile(file):  # noqa: PTH113 - as in `config_file`
        raise SettingsError(
            f"OpenLineage is configured by a file that is not there: {file}",
            where="the variable OPENLINEAGE_CONFIG",
            hint="write the path of an openlineage.yml, from the folder that the process is started in, or unset it",
        )


def _check_file(file: Path | None) -> None:
    """Raise SettingsError for a file that is no YAML: the client would log a traceback, and go on as if there were none."""
    if file is None:
        return
    import yaml  # type: ignore[import-untyped]

    hint = "mend the file: it begins with transport:, and below it, indented, stand type: and what belongs to that type"
    try:
        with file.open(encoding="utf-8") as text:
            found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name} can't be read: {error}", where=str(file), hint=hint) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # What it says is wrong may quote a key; the place never does.
        at = "" if mark is None else f", from line {mark.line + 1}, column {mark.column + 1} on"
        raise SettingsError(f"{file.name} is no YAML{at}", where=str(file), hint=hint) from None
    if found is not None and not isinstance(found, dict):
        raise SettingsError(f"{file.name} holds no settings", where=str(file), hint=hint)


def _plain(root: Path, environ: Mapping[str, str]) -> Destination | None:
    """The collector that `OPENLINEAGE_URL` names, when nothing else is said.

    A short script could not wait for openlineage-python, which costs most of a second to import.
    """
    url = environ.get("OPENLINEAGE_URL", "").strip()
    named = {name.upper() for name in environ}
    if (
        not url
        or config_file(root, environ)
        or any(name.startswith("OPENLINEAGE__") for name in named)
        or named.intersection(_NEEDS_CLIENT)
        or any(os.path.exists(_of_user(name)) for name in (".netrc", "_netrc"))  # noqa: PTH110 - as in `config_file`
    ):
        return None
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None  # openlineage-python says what is wrong with it
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    if parts.scheme == "https" and named.intersection(_NEEDS_CLIENT_FOR_TLS):
        return None
    from headwater.lineage.openlineage.plainhttp import ENDPOINT, PlainHttp

    return PlainHttp(url, environ.get("OPENLINEAGE_ENDPOINT", ENDPOINT), environ.get("OPENLINEAGE_API_KEY"))


@contextmanager
def _environment(root: Path) -> Iterator[None]:
    """The environment as the client looks at it; it writes into it, the API key too, which nobody else should inherit."""
    before = dict(os.environ)
    file = config_file(root)
    if file is not None:
        os.environ["OPENLINEAGE_CONFIG"] = str(file)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _of_client() -> Sequence[Destination]:
    from openlineage.client import OpenLineageClient

    from headwater.lineage.openlineage.transport import TransportDestination

    # It warns of what it then raises.
    logging.getLogger("openlineage.client.utils").setLevel(logging.ERROR)
    with _synchronous():
        client = OpenLineageClient()
        named = client.config.transport or {}
        # Without any transport the client prints events, which nobody asked for here.
        if client.transport.kind == "noop" or (client.transport.kind == "console" and not named.get("type")):
            return ()
        found = [TransportDestination(OpenLineageClient(transport=one)) for one in _single(client)]
    return list({one.id: one for one in found}.values())


def _single(client: OpenLineageClient) -> Sequence[Transport]:
    """The transports that get everything, each of which may be down for itself."""
    from openlineage.client.transport.composite import CompositeTransport

    transport = client.transport
    # A composite that stops at the first success is one destination: which of them takes an event is its affair.
    if isinstance(transport, CompositeTransport) and transport.config.continue_on_success:
        return transport.transports
    return [transport]


@contextmanager
def _synchronous() -> Iterator[None]:
    """`async_http` sends later, from memory, and tells nobody what got lost: here the outbox is what makes it asynchronous."""
    from openlineage.client.transport import get_default_factory
    from openlineage.client.transport.http import HttpTransport

    factory = get_default_factory()
    before = factory.transports["async_http"]
    factory.register_transport("async_http", HttpTransport)
    try:
        yield
    finally:
        factory.register_transport("async_http", before)
