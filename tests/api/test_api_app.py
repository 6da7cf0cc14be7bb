"""The web application, asked as an ASGI server asks it."""

import asyncio
import json
from typing import Any

import headwater
from headwater.api.app import create_app


async def get(path: str) -> tuple[int, Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "server": ("localhost", 80),
        "client": ("localhost", 1),
        "root_path": "",
    }
    await create_app()(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)


def test_health() -> None:
    assert asyncio.run(get("/api/health")) == (200, {"status": "ok", "version": headwater.__version__})


def test_nothing_else_is_served() -> None:
    status, _ = asyncio.run(get("/api/runs"))
    assert status == 404
