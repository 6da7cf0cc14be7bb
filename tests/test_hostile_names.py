"""Names that mean harm, or look as if: refused with one clear error, or kept exactly, from the definition to the catalog.

In each role all names go through one project: asset, place, database file, table, column, and the texts beside them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cli_project import Done, as_in_a_new_process

from headwater import Asset
from headwater.assets import registry
from headwater.assets.location import asset_ref
from headwater.cli.app import run
from headwater.errors import HeadwaterError, UsageError
from headwater.project import Project

HOSTILE = {
    "quotes": 'it\'s "quoted" `so`',
    "up and out": "../../escape",
    "only dots": "..",
    "absolute": "/etc/passwd",
    "NUL": "a\0b",
    "line break": "a\nb",
    "terminal escape": "a\x1b[31mred\x1b]0;title\x07",
    "C1 control": "a\x9b31mb",
    "right to left override": "abc\u202etxt.exe",
    "right to left": "שלום",
    "four bytes": "\U0001d4b3\U0001f989",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "10 kB": "x" * 10_000,
    "half a character": "a\ud800",
    "SQL": "x'; DROP TABLE keep; --",
    "SQL identifier": 'x"; DROP TABLE keep; --',
    "template": "{{7*7}}",
    "placeholder": "{home}",
    "option": "-rf",
    "partition": "a@2024-01-01",
    "glob": "a*[b]?",
    "percent": "%2e%2e%2fescape",
    "shell": "$(touch escape); `touch escape` | &",
    "outer spaces": " a ",
    "nothing": "",
    "selection": "stale() or not *",
}

ROLES: dict[str, dict[str, str]] = {
    "asset": {"name": "%s", "at": "parquet://lake/n%d"},
    "place": {"at": "parquet://lake/%s"},
    "database": {"at": "duckdb://bases/%s.duckdb/main.t"},
    "table": {"at": "duckdb://w.duckdb/main.%s"},
    "column": {"at": "duckdb://w.duckdb/main.c%d", "column": "%s"},
    "column of a file": {"at": "parquet://lake/c%d", "column": "%s"},
    "text": {"at": "parquet://lake/t%d", "text": "%s"},
}

SCRIPT = """
import json
from pathlib import Path
import polars as pl
from headwater import Asset, materialize

for one in json.loads(Path("names.json").read_text()):
    text = one["text"]
    made = Asset(one["name"], at=one["at"], owners=[text], tags={"note": text}, description=text)

    @materialize(made, name=one["task"])
    def make(column=one["column"]):
        return pl.DataFrame({column: ["v"]})
"""


def spec(role: str, number: int, name: str) -> dict[str, str]:
    """An asset with the name in its role."""
    plain = {"name": f"asset{number}", "at": f"parquet://lake/{number}", "column": "c", "text": "note"}
    found = {**plain, **ROLES[role]}
    found = {key: value.replace("%s", name).replace("%d", str(number)) for key, value in found.items()}
    return {**found, "task": found["text"] or "task"}


def definable(one: dict[str, str]) -> bool:
    """Whether it can be defined; the error is clear, harmless to print, and small."""
    error: HeadwaterError | None = None
    try:
        with registry.scope():
            Asset(one["name"], at=one["at"], owners=[one["text"]], tags={"note": one["text"]}, description=one["text"])
            asset_ref(one["name"], one["at"], root=Path("/root"), values={"other": "x"})
    except HeadwaterError as raised:
        error = raised
    if error is None:
        return True
    assert isinstance(error, UsageError)
    assert len(str(error)) < 1_000
    assert error.hint
    assert printable(str(error)), ascii(str(error))
    return False


def printable(text: str) -> bool:
    """Whether a terminal shows it and does nothing else."""
    return all(char == "\n" or char.isprintable() for char in text)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project two folders deep, a table that must stay, and something outside that must stay as well."""
    root = tmp_path / "outer" / "root"
    root.mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("as it was")
    with duckdb.connect(str(root / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE keep AS SELECT 42 AS answer")
    monkeypatch.chdir(root)
    yield root
    with duckdb.connect(str(root / "w.duckdb")) as connection:
        assert connection.execute("FROM keep").fetchall() == [(42,)]
    outside = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if root not in (path, *path.parents)]
    assert sorted(map(str, outside)) == ["outer", "outside.txt"]
    assert (tmp_path / "outside.txt").read_text() == "as it was"
    assert {path.name for path in root.iterdir()} <= {
        *(
            ".headwater",
            "bases",
            "events.ndjson",
            "lake",
            "lake.parquet",
            "names.json",
            "hostile.py",
            "w.duckdb",
            "__pycache__",
        ),
        *(".w.duckdb.lock", "w.duckdb.lock"),
    }


def cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    capsys.readouterr()
    with as_in_a_new_process():
        code = run([*arguments])
    return Done(code, *capsys.readouterr())


@pytest.mark.parametrize("role", ROLES)
def test_a_name_is_refused_or_kept_exactly(
    role: str, world: Path, capsys: pytest.CaptureFixture[str], stress: bool
) -> None:
    specs = {name: spec(role, number, name) for number, name in enumerate(HOSTILE.values())}
    kept = {name: one for name, one in specs.items() if definable(one)}
    assert kept
    (world / "names.json").write_text(json.dumps(list(kept.values())))
    (world / "hostile.py").write_text(SCRIPT)
    done = cli(capsys, "materialize", "*", "-f", "hostile.py", "--json")
    assert done.code in (0, 1), done
    assert "errors" in done.json, done
    failed = {error["subject"]: error for error in done.json["errors"]}
    for error in failed.values():
        assert error["hint"], error
        assert len(error["message"]) < 1_000
    made = {name: one for name, one in kept.items() if one["name"] not in failed}
    assert {"caf\u00e9", "cafe\u0301", 'it\'s "quoted" `so`', "שלום", HOSTILE["four bytes"]} <= made.keys()
    with as_in_a_new_process():
        project = Project.open(world)
        for one in made.values():
            asset = Asset(one["name"], at=one["at"])
            target = project.definitions.target(asset)
            frame = project.materializer(target.asset).load(target, None, "eager")
            assert (frame.columns, frame.rows()) == ([one["column"]], [("v",)])
    answers(capsys, made, explained=1 if stress or role == "asset" else 6)
    exported(world, capsys, role, made)
    harmless(capsys, [one["name"] for one in made.values()])


def answers(capsys: pytest.CaptureFixture[str], made: dict[str, dict[str, str]], *, explained: int) -> None:
    """The command line gives the names back as they are, and understands them; each so-manieth is explained."""
    rows = {row["name"]: row for row in cli(capsys, "status", "--json").json["assets"]}
    for one in made.values():
        assert rows[one["name"]]["rows"] == 1
    for one in list(made.values())[::explained]:
        done = cli(capsys, "explain", "--json", "--", one["name"])
        assert done.code == 0, done
        assert one["name"] in done.json.values()
    one = list(made.values())[-1]
    done = cli(capsys, "lineage", "--json", "--columns", "--", one["name"])
    assert one["name"] in {node["name"] for node in done.json["nodes"]}


def exported(world: Path, capsys: pytest.CaptureFixture[str], role: str, made: dict[str, dict[str, str]]) -> None:
    """OpenLineage's events hold the names as they are."""
    assert cli(capsys, "openlineage", "export", "--to", "events.ndjson").code == 0
    strings = {text for line in (world / "events.ndjson").read_text().splitlines() for text in walk(json.loads(line))}
    for name in made:
        filled = name.replace("{{", "{").replace("}}", "}") if role in ("place", "database", "table") else name
        if role in ("column", "column of a file", "text"):
            assert filled in strings, name
        elif role in ("place", "database", "table"):
            assert any(filled.strip("/") in text for text in strings), name


def walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def harmless(capsys: pytest.CaptureFixture[str], names: list[str]) -> None:
    """Nothing that a terminal would obey is printed."""
    commands = [["status"], ["freshness"], ["runs"], ["explain", "--", names[0]]]
    commands += [
        ["lineage", f"--format={how}", "--columns", "--", names[-1]] for how in ("tree", "table", "mermaid", "dot")
    ]
    for command in commands:
        done = cli(capsys, *command)
        assert printable(done.out + done.err), (command, ascii(done.out))


def test_what_is_typed_is_refused_and_shown_harmlessly(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = 'Asset("days", at="parquet://lake/days", partitions=DailyPartitions("2024-01-01"))'
    text = f"from headwater import *\n\n@materialize({days})\ndef make(partition):\n    return []\n"
    (world / "hostile.py").write_text(text)
    for name in HOSTILE.values():
        typed = [["materialize", "days", "-f", "hostile.py", f"--partition={name}"], ["logs", "--", name or "?"]]
        if name != "stale() or not *":
            typed.append(["status", "-f", "hostile.py", "--", name])
        for command in typed:
            done = cli(capsys, *command)
            assert done.code == 2, (command, done)
            assert done.err.startswith("error: ")
            assert printable(done.err), ascii(done.err)
            assert len(done.err) < 1_500
