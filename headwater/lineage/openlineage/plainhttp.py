"""A collector over plain HTTP as a destination: what `OPENLINEAGE_URL` alone asks for, without a heavy import."""

from __future__ import annotations

import http.client
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from headwater import ids
from headwater.lineage.openlineage.answers import ADDRESS, excerpt, failure, judge
from headwater.lineage.openlineage.destination import Receipt, Refusal, Trouble, one_by_one
from headwater.lineage.openlineage.timely import TimelyAnswer

if TYPE_CHECKING:
    import ssl

_TIMEOUT = 5.0
"""Seconds that a collector has for a whole answer: what openlineage-python gives it too."""
ENDPOINT = "api/v1/lineage"
"""Where a collector takes events, unless it is told otherwise."""


def http_id(address: str) -> str:
    """The id of the destination at an address, whichever way it is reached: without what its user part may hold."""
    return f"http-{ids.derived_id('openlineage-http', excerpt(address))}"


class PlainHttp:
    """Posts each event on a connection that is kept open; nothing is tried twice here: that is the outbox's affair."""

    def __init__(self, url: str, endpoint: str = ENDPOINT, api_key: str | None = None) -> None:
        self.address = urljoin(url.strip(), endpoint)
        self._parts = urlsplit(self.address)
        self._secrets = (api_key,) if api_key else ()
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._connection: http.client.HTTPConnection | None = None

    @property
    def id(self) -> str:
        """What tells it from other destinations: safe as the name of a file."""
        return http_id(self.address)

    def __str__(self) -> str:
        return excerpt(self.address)

    def open(self, mark: int | None) -> int:
        """Nothing is connected before something is to be sent."""
        return 0

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def deliver(self, events: Sequence[bytes], seconds: float | None = None) -> Receipt:
        """Post events one after the other, as many as the time allows."""
        return one_by_one(events, seconds, self._post)

    def _post(self, event: bytes) -> Refusal | Trouble | None:
        try:
            response = self._answer(event)
            status, wait = response.status, response.getheader("Retry-After")
            body = response.read(10_000).decode("utf-8", "replace")
            if response.read(1):
                self.close()  # an answer that is too long to read is not read
        except TimeoutError:
            self.close()
            return Trouble(reason=f"no answer within {_TIMEOUT:.3g} s")
        except (http.client.InvalidURL, ValueError) as error:
            self.close()
            return Trouble(reason=f"it is no address: {excerpt(str(error))}", hint=ADDRESS)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Trouble(reason=f"it can't be reached: {failure(error)}")
        except BaseException:
            self.close()
            raise
        return judge(status, body, wait, self._secrets)

    def _answer(self, event: bytes) -> http.client.HTTPResponse:
        connection = self._connected()
        path = self._parts.path or "/"
        connection.request("POST", path + (f"?{self._parts.query}" if self._parts.query else ""), event, self._headers)
        return connection.getresponse()

    def _connected(self) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is not None and connection.sock is not None and not _is_stale(connection.sock):
            return connection
        self.close()
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=_trust())
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        self._connection.response_class = TimelyAnswer
        return self._connection


def _is_stale(sock: socket.socket) -> bool:
    # Nothing was asked, so what can be read is the other side's goodbye.
    return bool(select.select([sock], [], [], 0)[0])


def _trust() -> ssl.SSLContext:
    # The roots that requests, and so openlineage-python, trusts.
    import ssl

    import certifi

    return ssl.create_default_context(cafile=certifi.where())
