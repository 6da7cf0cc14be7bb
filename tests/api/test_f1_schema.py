"""F1: schemathesis over the whole OpenAPI: no server error, and every answer as the document says."""

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import schemathesis
from api_world import BASE, served
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_no_request_makes_it_fail(shop: Path, stress: bool) -> None:
    with served(shop, insecure=True) as (client, _):
        schema: Any = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
        run = client.get("/api/runs").json()["runs"][0]["id"]
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) > 30
        both = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        answers = Counter[int]()
        for number, operation in enumerate(operations):
            if operation.path == "/api/events":
                continue  # it has no end
            for mode in both if stress else (both[number % 2],):
                answers += attempt_all(client, operation, mode, run, 100 if stress else 1)
            if stress:
                print(f"{number + 1:3} of {len(operations)} {operation.method.upper()} {operation.path}", flush=True)
        kinds = Counter(f"{status // 100}xx" for status in answers.elements())
        assert "2xx" in kinds
        assert "5xx" not in kinds
        told = ", ".join(f"{many:,} {kind}" for kind, many in sorted(kinds.items()))
        print(
            f"F1: {answers.total():,} requests of {len(operations)} operations ({told}): no server error, none off the schema"
        )


def attempt_all(client: TestClient, operation: Any, mode: GenerationMode, run: str, examples: int) -> Counter[int]:
    """So many requests of an operation, every second one about a run that is there; the statuses of the answers."""
    turn, answers = 0, Counter[int]()

    @settings(
        max_examples=examples,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        nonlocal turn
        turn += 1
        if turn % 2:
            for name in ("run_id", "backfill_id"):
                if name in case.path_parameters:
                    case.path_parameters[name] = run
        wanted = case.as_transport_kwargs(base_url=BASE)
        if len(urlencode(wanted.get("params") or {}, doseq=True)) > 60_000:
            return  # no client sends it, and no server takes it
        answer = client.request(
            wanted["method"],
            wanted["url"],
            params=wanted.get("params"),
            headers={
                name: value
                for name, value in (wanted.get("headers") or {}).items()
                if name.lower() not in ("host", "user-agent")
            },
            **({"json": wanted["json"]} if "json" in wanted else {"content": wanted.get("data") or b""}),
        )
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    attempt()
    return answers
