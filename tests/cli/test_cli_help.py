"""Help with examples that hold, the version, what a short command imports, and completion in a shell."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_project import Cli

from headwater.cli.app import build
from headwater.cli.commands import (
    BACKFILL,
    CACHE,
    COMMANDS,
    LINEAGE,
    OPENLINEAGE,
    PARTITIONS,
    REQUESTS,
    RUNS,
    TOKENS,
    overview,
)

EVERY = {
    **{(name,): command for name, command in COMMANDS.items()},
    **{
        (tree, name): command
        for tree, under in {
            "backfill": BACKFILL,
            "cache": CACHE,
            "lineage": LINEAGE,
            "openlineage": OPENLINEAGE,
            "partitions": PARTITIONS,
            "requests": REQUESTS,
            "runs": RUNS,
            "token": TOKENS,
        }.items()
        for name, command in under.items()
    },
}
EXAMPLES = sorted({example for command in EVERY.values() for example in command.examples})


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_explains_itself_with_examples(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = cli(*path, "--help")
    assert done.code == 0
    assert EVERY[path].help in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) <= 80
    assert EVERY[path].examples
    for example in EVERY[path].examples:
        assert f"  headwater {example}\n" in done.out
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_understood(example: str) -> None:
    words = shlex.split(example.partition(" > ")[0])
    command, bound, _ = build().parse_args(words, exit_on_error=False, print_error=False)
    assert command.__module__.startswith("headwater.cli.")
    assert bound.signature is not None


def test_without_arguments_the_commands_are_listed_under_their_headings(process: Cli, folder: Path) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        done = process(*arguments)
        assert (done.code, done.out, done.err) == (0, overview() + "\n", "")
    assert max(map(len, overview().splitlines())) <= 80
    for name, command in COMMANDS.items():
        assert f"  {name} " in overview()
        assert f"\n{command.group}:\n" in overview()
    assert list(folder.iterdir()) == []


def test_an_unknown_name_brings_the_nearest_one(cli: Cli, folder: Path) -> None:
    for words, near in (
        (["stauts"], "status"),
        (["status", "--as-off", "x"], "--as-of"),
        (["backfill", "--form"], "--from"),
    ):
        done = cli(*words)
        assert (done.code, done.out) == (2, "")
        assert near in done.err


HEAVY = ("cyclopts", "rich", "pydantic", "duckdb", "polars", "headwater.assets")


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [(["--version"], ()), (["--help"], ()), (["init"], ("cyclopts",))],
    ids=["version", "help", "init"],
)
def test_a_short_command_imports_little(folder: Path, arguments: list[str], allowed: tuple[str, ...]) -> None:
    code = (
        "import sys; from headwater.cli import main\n"
        f"try: main({arguments!r})\n"
        f"except SystemExit as end: print(end.code, *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) <= {"0", *allowed}
    assert done.stderr.startswith("0")


def test_the_past_is_shown_without_the_users_modules(cli: Cli, shop: Path) -> None:
    assert cli("run", "shop.py:report", "-p", "day=2024-01-05").code == 0
    (shop / "shop.py").write_text("raise RuntimeError('broken')\n")
    assert cli("runs", "--json").json["runs"][0]["flow"] == "report"
    assert cli("status").code == 2


def test_bash_completes_commands_options_and_names(process: Cli, cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    (shop / "headwater.bash").write_text(process("completion", "bash").out)
    program = shop / "headwater"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m headwater "$@"\n')
    program.chmod(0o755)
    assert "materialize" in _completed(shop, "mat")
    assert {"--verdict"} <= _completed(shop, "status", "--ver")
    assert {"late"} <= _completed(shop, "status", "--verdict", "la")
    assert {"resume"} <= _completed(shop, "backfill", "re")
    assert _completed(shop, "explain", "sal") == {"sales"}
    assert _completed(shop, "status", "+sal") == {"+sales"}


def _completed(folder: Path, *words: str) -> set[str]:
    given = ["headwater", *words]
    script = (
        "source ./headwater.bash\n"
        f"COMP_WORDS=({shlex.join(given)}); COMP_CWORD={len(given) - 1}\n"
        f"COMP_LINE={shlex.quote(' '.join(given))}; COMP_POINT=${{#COMP_LINE}}\n"
        f"_headwater headwater {shlex.quote(given[-1])} {shlex.quote(given[-2])}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {line.strip() for line in done.stdout.splitlines() if line.strip()}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(cli: Cli, folder: Path, shell: str) -> None:
    done = cli("completion", shell)
    assert done.code == 0
    assert "materialize" in done.out
    assert cli("completion", shell, "--json").json["script"].strip() == done.out.strip()
