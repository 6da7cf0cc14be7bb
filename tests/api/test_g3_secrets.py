"""G3: fifty secrets, in the environment, in addresses, headers, cookies, bodies and questions: none is told anywhere."""

import http.client
import json
from pathlib import Path

import pytest
from api_world import bearer, serving

from headwater.cli import app as command_line

KEYS = ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "DATABASE_URL", "GITHUB_TOKEN", "SNOWFLAKE_PASSWORD", "API_KEY")


def planted(environ: pytest.MonkeyPatch) -> list[str]:
    """Secrets where people keep them."""
    secrets = [f"c4n4ry{number:02}x" for number in range(50)]
    settings = {
        "OPENLINEAGE_URL": f"http://user:{secrets[0]}@127.0.0.1:1",
        "OPENLINEAGE_API_KEY": secrets[1],
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{secrets[2]}@127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {secrets[3]},x-key={secrets[4]}",
        "HTTP_AUTHORIZATION": f"Basic {secrets[5]}",
    }
    settings |= {f"{KEYS[place % len(KEYS)]}_{place}": secrets[place] for place in range(6, 40)}
    for name, value in settings.items():
        environ.setenv(name, value)
    return secrets


def test_no_secret_of_fifty_is_told(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = bearer(shop, "admin")
    secrets = planted(monkeypatch)
    told = []
    with serving(shop) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

        def ask(method: str, path: str, body: object = None, **more: str) -> str:
            connection.request(method, path, None if body is None else json.dumps(body), {**headers, **more})
            answer = connection.getresponse()
            told.append(f"{answer.headers}{answer.read().decode()}")
            return told[-1]

        document = json.loads(ask("GET", "/api/openapi.json").partition("\n\n")[2])
        for path, methods in document["paths"].items():
            if "get" in methods and "{" not in path and path != "/api/events":
                ask("GET", path)
        left = iter(secrets[40:])
        ask("POST", "/api/session", {"token": next(left)})
        ask("POST", "/api/session", {"token": f"hw_{'0' * 12}_{next(left).ljust(43, 'A')}"})
        ask("POST", "/api/session", {"token": "x", "more": next(left)})
        ask("GET", "/api/runs", Authorization=f"Bearer {next(left)}")
        ask("GET", "/api/runs", Authorization=f"Basic {next(left)}")
        ask("GET", "/api/runs", Cookie=f"headwater_session={next(left)}")
        ask("DELETE", "/api/session", Origin=f"http://user:{next(left)}@127.0.0.1")
        ask("GET", "/api/runs", Host=f"{next(left)}.example")
        ask("GET", f"/api/runs?cursor={next(left)}")
        ask("GET", "/api/session", **{"X-CSRF-Token": next(left)})
        connection.close()
        assert server.stop() == 0
    monkeypatch.chdir(shop)
    for command in (["doctor"], ["openlineage", "status", "--json"], ["audit", "--json"]):
        command_line.run(command)
    told += capfd.readouterr()
    told.append((shop / "serve.log").read_text())
    told += [path.read_bytes().decode("latin-1") for path in (shop / ".headwater").rglob("*") if path.is_file()]
    assert len(told) > 40
    assert [secret for secret in secrets if any(secret in text for text in told)] == []
