"""The examples for those who come from Prefect do what they say: each prints what its docstring says that it prints."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "from_prefect"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("test_"))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_it_prints_what_it_says(script: Path, tmp_path: Path) -> None:
    (tmp_path / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    assert "What changes: " in doc
    expected = textwrap.dedent(doc.partition("Prints:\n")[2]).splitlines()
    assert expected
    command = [sys.executable, "-W", "error", script.name]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, expected), done.stderr


def test_resuming_is_shown_beside_other_runs_too(tmp_path: Path) -> None:
    for name in ("a_flows_and_tasks.py", "o_resume.py", "o_resume.py"):
        done = subprocess.run(
            [sys.executable, str(FOLDER / name)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "3 rows sent" in done.stdout


def test_the_one_for_tests_is_run_by_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text((FOLDER / "test_k_testing.py").read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "test_shop.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_table_names_every_example() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in table for path in FOLDER.glob("*.py"))
