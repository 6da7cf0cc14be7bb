"""The place of the web application. For now it answers one question: whether it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import headwater

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app() -> FastAPI:
    """The application, to be served by any ASGI server.

    >>> create_app().title
    'Headwater'
    """
    from fastapi import FastAPI

    app = FastAPI(title="Headwater", version=headwater.__version__)

    @app.get("/api/health")
    def health() -> dict[str, str]:
        """Whether the server is there, and its version."""
        return {"status": "ok", "version": headwater.__version__}

    return app
