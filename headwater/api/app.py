"""The web application: routes behind the guard, and a service behind the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import headwater

if TYPE_CHECKING:
    from fastapi import FastAPI

    from headwater.project import ServingProject

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The names that a server answers to without being told."""


def create_app(
    project: ServingProject, *, hosts: Iterable[str] = (), insecure: bool = False, runs_work: bool = False
) -> FastAPI:
    """The application of a project, to be served by any ASGI server that speaks its lifespan.

    It answers to loopback's names and to `hosts`. `insecure` lets everybody in who reaches it; `runs_work` lets it start what
    is asked for, as processes of their own.
    """
    from fastapi import FastAPI

    from headwater.api import (
        asset_detail_routes,
        asset_routes,
        graph_routes,
        pages,
        partition_routes,
        problems,
        run_page_routes,
        run_routes,
        search_routes,
        server_routes,
        work_routes,
    )
    from headwater.api.browsers import Browsers
    from headwater.api.graph import CARDS, Asked, Graphs
    from headwater.api.guard import Guard
    from headwater.api.parameters import PROBLEMS
    from headwater.api.service import Service
    from headwater.api.shared import Answers
    from headwater.api.tokens import Tokens

    service = Service(project, runs_work=runs_work)
    tokens = None if insecure else Tokens(project.home, project.locks)
    browsers = None if tokens is None else Browsers(project.home, tokens)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        from starlette.concurrency import run_in_threadpool

        service.hub.open()
        service.start()
        try:
            yield
        finally:
            service.hub.close()
            await run_in_threadpool(service.stop)

    app = FastAPI(
        title="Headwater",
        version=headwater.__version__,
        description=__doc__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere; nothing that we serve does.
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        separate_input_output_schemas=False,
    )
    app.state.service, app.state.tokens, app.state.browsers = service, tokens, browsers
    app.state.access = service.access
    app.state.graphs = graphs = Graphs(service)
    service.warm_too = lambda: graphs.draw(Asked(limit=CARDS))
    app.state.answers = Answers(lambda: project.projection.version)
    for routes in (
        asset_routes,
        partition_routes,
        run_page_routes,
        graph_routes,
        search_routes,
        asset_detail_routes,
        run_routes,
        work_routes,
        server_routes,
    ):
        app.include_router(routes.router)
    app.include_router(server_routes.plain)
    app.include_router(pages.router())
    problems.install(app)
    app.add_middleware(
        Guard, hosts=(*LOOPBACK, *hosts), tokens=tokens, browsers=browsers, refused=service.access.refuse
    )
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Put into the OpenAPI document what every route shares: problems, and how one says who one is."""
    from headwater.api.models import Problem

    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = made()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}]
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
