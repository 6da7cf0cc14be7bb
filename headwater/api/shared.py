"""Answers that are the same for everybody: worked out once for all who ask for one at the same time, and kept for a moment."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

from fastapi import Request, Response
from fastapi.routing import APIRoute

from headwater import clock
from headwater.records import dataclass

MOST_BYTES = 32 << 20
"""Bytes of all answers that are kept."""
_LARGEST = MOST_BYTES // 8
_AGE = 1_000_000
"""Microseconds that an answer is kept at most: what an asset's verdict is depends on the time, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    version: int
    at: int
    body: bytes
    headers: Mapping[str, str]


class Answers:
    """Answers by what was asked, as long as nothing new has come: the ones that were asked for last, within `MOST_BYTES`.

    `version` counts what has come. It is used by one event loop.
    """

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, asked: str, make: Callable[[], Awaitable[Response]]) -> Response:
        """The answer; whoever asks while somebody else's is made waits for that one. What is no success is not kept."""
        came = clock.steady_us()
        found = self._find(asked, came)
        if found is not None:
            return found
        making = self._making.setdefault(asked, asyncio.Lock())
        async with making:
            return self._find(asked, came) or await self._made(asked, make)

    def _find(self, asked: str, came: int) -> Response | None:
        kept = self._kept.get(asked)
        if kept is None:
            return None
        is_current = kept.version == self._version() and clock.steady_us() - kept.at <= _AGE
        # What was begun after somebody asked is new enough for them, however long it took and whatever has come since: of many
        # who wait only the first works it out.
        if not is_current and kept.at < came:
            return None
        self._kept.move_to_end(asked)
        return Response(kept.body, headers=kept.headers)

    async def _made(self, asked: str, make: Callable[[], Awaitable[Response]]) -> Response:
        version, at = self._version(), clock.steady_us()
        answer = await make()
        body = answer.body
        if answer.status_code == 200 and isinstance(body, bytes) and len(body) <= _LARGEST:
            self._drop(asked)
            self._kept[asked] = _Kept(version=version, at=at, body=body, headers=dict(answer.headers))
            self._bytes += len(body) + len(asked)
            while self._bytes > MOST_BYTES:
                self._drop(next(iter(self._kept)))
        return answer

    def _drop(self, asked: str) -> None:
        kept = self._kept.pop(asked, None)
        if kept is not None:
            self._bytes -= len(kept.body) + len(asked)


class SharedRoute(APIRoute):
    """A route that answers everybody who may ask with the same, from `app.state.answers` where it has been asked just now."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()
        if self.methods != {"GET"}:
            return answer

        async def shared(request: Request) -> Response:
            answers: Answers = request.app.state.answers
            asked = f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
            return await answers.get(asked, lambda: answer(request))

        return shared
