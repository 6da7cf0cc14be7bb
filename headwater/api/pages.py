"""The web pages: the built files of `ui/`, and the one document that stands for every page.

They hold nothing of a project, so that they are given to anybody who reaches the server; what they show comes from the API,
which asks who wants it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.errors import SettingsError
from headwater.records import dataclass

if TYPE_CHECKING:
    from fastapi import APIRouter

PAGES = frozenset({"asset", "partitions", "lineage", "runs", "backfills", "checks"})
"""The first parts of the addresses of pages, beside the board's, which is /."""

_BUILT = Path(__file__).parent / "static"
_DOCUMENT = "/index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A built file. One that has its content's hash in its name never changes."""

    content: bytes
    media_type: str
    is_lasting: bool


@cache
def files() -> dict[str, File]:
    """The built files by their paths. Raises SettingsError when they are missing."""
    found = {}
    for path in sorted(_BUILT.rglob("*")):
        if path.suffix in _TYPES:
            name = "/" + path.relative_to(_BUILT).as_posix()
            found[name] = File(
                content=path.read_bytes(), media_type=_TYPES[path.suffix], is_lasting=name.startswith("/static/")
            )
    if _DOCUMENT not in found:
        raise SettingsError("the web pages are not there", where=str(_BUILT), hint="`make ui` builds them")
    return found


def page(path: str) -> File | None:
    """What answers a path: a built file, the document for a page, None for what is neither.

    >>> page("/runs/019b8a2e").media_type, page("/api/runs"), page("//api/runs"), page("/static/../index.html")
    ('text/html; charset=utf-8', None, None, None)
    """
    found = files().get(path)
    if path == "/" or (found is None and path.startswith("/") and path.split("/")[1] in PAGES):
        return files()[_DOCUMENT]
    return found


def router() -> APIRouter:
    """The route of all pages, to be added after all others. Raises SettingsError when the built files are missing."""
    from fastapi import APIRouter, Header, Response

    from headwater.api.problems import ApiError

    files()
    made = APIRouter()

    # `path` is the rest of the address, decoded: it is looked up among the built files, never on the disk.
    @made.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def answer(path: str, accept: str = Header(default="")) -> Response:
        found = page("/" + path)
        if found is None:
            # Who mistyped an address in a browser gets the page that says so, with the way to all others.
            if "text/html" in accept and path.partition("/")[0] != "api":
                document = files()[_DOCUMENT]
                return Response(document.content, status_code=404, media_type=document.media_type)
            raise ApiError(404, "not_found", "there is nothing at this address")
        headers = {"cache-control": "public, max-age=31536000, immutable"} if found.is_lasting else {}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return made
