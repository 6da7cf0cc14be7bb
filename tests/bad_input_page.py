"""The page `docs/errors.md`, made from the table: `python tests/bad_input_page.py` writes it anew."""

import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "cli")]

from bad_input_commands import NAMES, OPTIONS, PARTITIONS
from bad_input_data import FILES, FLOWS, HOME, VALUES
from bad_input_definitions import ASSETS, MODULES
from bad_input_world import Mistake, World, printed

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"

SECTIONS: dict[str, tuple[Mistake, ...]] = {
    "Names and selections": NAMES,
    "Partitions and times": PARTITIONS,
    "Parameters and options": OPTIONS,
    "Settings, modules and scripts": MODULES,
    "Definitions": ASSETS,
    "What functions return, checks, inputs": VALUES,
    "Files and places": FILES,
    "The home": HOME,
    "Flows and processes": FLOWS,
}

MISTAKES = tuple(row for rows in SECTIONS.values() for row in rows)

_HEAD = """\
# What goes wrong, and what to do

An error says what is wrong, where, and what to do. Exit codes: 0 done, 1 the work failed, 2 the command or a definition is
wrong, 3 refused by a check, a policy, a verdict or a missing input. With `--json` an error is the one document on standard
output, `{"error": {"kind", "message", "where"?, "hint"?}}`; a materialization or backfill that failed prints its outcome, with
`errors: [{"subject", "message", "where"?, "hint"?}]`. `--debug` adds the traceback.

Whatever goes wrong, the data that was there stays as it was and can be read, and the journal keeps every event that it had.

The scripts below begin with `from headwater import *` and `import polars as pl`. What is shown is what is printed; a test runs
all of it, and compares. Where an engine is quoted (DuckDB, Polars, Pydantic), its words may differ from version to version.

Names are refused when they would hide what they say (control characters, characters that change the direction of writing), leave
the project's folder, or be too long for a file; any other name comes back as it was given: from the store, from tables and
columns, and from OpenLineage. What is printed to a terminal shows control characters as `\\x1b` and never obeys them.
"""


def block(row: Mistake, text: str) -> str:
    """A row as it stands on the page."""
    lines = [f"### {row.title}", ""]
    if row.before:
        lines += [row.before, ""]
    if row.script:
        lines += ["```py", row.script.rstrip(), "```", ""]
    lines += ["```console", f"$ {row.does}", *text.splitlines(), "```", "", f"Exit code {row.code}."]
    return "\n".join(lines)


def page(blocks: dict[str, str]) -> str:
    """The whole page, of the blocks by title."""
    parts = [_HEAD.rstrip()]
    for section, rows in SECTIONS.items():
        parts += [f"## {section}", *(blocks[row.title] for row in rows)]
    return "\n\n".join(parts) + "\n"


def _write() -> None:
    blocks = {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for row in MISTAKES:
            with world.spoilt(row):
                blocks[row.title] = block(row, printed(row, world.make(row), world.folder))
    PAGE.write_text(page(blocks))


if __name__ == "__main__":
    _write()
