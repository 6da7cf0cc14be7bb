"""What people see: tables that fit the terminal, shapes, colours, and nothing that a terminal would act upon."""

import time
from pathlib import Path

import pytest
from cli_project import Cli
from hypothesis import given
from hypothesis import strategies as st
from screens import screen, widest
from tried import tried_on

from headwater.cli.board_text import status_text
from headwater.cli.tables import fitted, table
from headwater.cli.terminal import cut, one_line, safe, width

MANY = """
from headwater import Asset, Freshness, flow, materialize

for n in range(60):
    Asset(f"source_{n:02}", at=f"parquet://lake/source_{n:02}", freshness=Freshness(max_lag="26h") if n < 30 else None)
ware = Asset("東京の売上", at="parquet://lake/tokyo", freshness=Freshness(max_lag="26h"))

@materialize(ware)
def make():
    import polars as pl

    return pl.DataFrame({"x": [1, 2]})

@flow
def day():
    make()
"""


@pytest.fixture
def many(folder: Path, cli: Cli) -> Path:
    (folder / "pyproject.toml").write_text('[tool.headwater]\nmodules = ["many"]\n')
    (folder / "many.py").write_text(MANY)
    assert cli("run", "many.py").code == 0
    return folder


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 40), (60, 16)])
def test_the_board_fits_the_terminal_with_the_worst_on_it(many: Path, columns: int, lines: int) -> None:
    found = screen(many, "status", "--as-of", "2100-01-01", columns=columns, lines=lines, NO_COLOR="1")
    assert found.splitlines()[0].startswith("61 assets: 1 late, 30 unknown, 30 without policy"[:columns])
    assert "\x1b" not in found
    rows = found.splitlines()[3:]
    assert widest("\n".join(rows[:-2])) <= columns
    assert sum(-(-width(line) // columns) for line in found.splitlines()) < lines
    assert rows[0].startswith("asset ")
    assert "✖ late" in rows[1]
    assert "more: " in found
    assert "--all" in found


def test_the_first_of_very_many_reasons_are_shown_in_a_terminal(folder: Path, cli: Cli) -> None:
    names = ", ".join(f"i{number}" for number in range(120))
    (folder / "hub.py").write_text(f"""from headwater import Asset, materialize

sources = [Asset("source_%03d" % n, at="csv://%d.csv" % n) for n in range(120)]
hub = Asset("hub", at="parquet://lake/hub")


@materialize(hub, inputs={{"i%d" % n: one for n, one in enumerate(sources)}})
def make({names}):
    return [{{"x": 1}}]
""")
    command = ("explain", "hub", "-f", "hub.py")
    found = screen(folder, *command, columns=200)
    assert "source_047" in found
    assert "source_048" not in found
    assert found.count("more: --json tells all") == 1
    assert len(found.splitlines()) < 60
    assert [text in cli(*command).out for text in ("source_119", "more")] == [True, False]
    assert "source_119" in cli(*command, "--json").out


def test_all_shows_every_asset_and_a_verdict_fewer(many: Path, cli: Cli) -> None:
    assert screen(many, "status", "--all", NO_COLOR="1").count("source_") >= 60
    late = cli("status", "--verdict", "late", "--as-of", "2100-01-01").out
    assert "1 asset: 1 late" in late
    assert "source_" not in late
    assert cli("status", "--verdict", "warn").out == "no asset is warn\n"


def test_a_pipe_gets_every_row_in_full(many: Path, cli: Cli) -> None:
    done = cli("status", "--as-of", "2100-01-01")
    assert [f"source_{n:02}" in done.out for n in range(60)] == [True] * 60
    assert "\x1b" not in done.out
    assert "…" not in done.out
    assert "limit 26h" in done.out
    assert done.out.count("\n") == 65


def test_colours_are_for_terminals_that_want_them(folder: Path, process: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert screen(folder, "stauts").startswith("\x1b[31merror: \x1b[0m")
    assert screen(folder, "stauts", TERM="dumb").startswith("error: ")
    assert screen(folder, "stauts", NO_COLOR="1").startswith("error: ")
    assert "\x1b" not in screen(folder, "stauts", "--json")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert process("stauts").err.startswith("\x1b[31merror: \x1b[0m")
    assert "\x1b" not in process("stauts", "--json").out


def test_a_verdict_has_a_shape_and_a_colour(many: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m● fresh\x1b[0m" in cli("status").out
    assert "\x1b" not in cli("status", "--json").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in cli("status").out


def test_where_the_encoding_has_no_marks_ascii_stands_in(
    many: Path, process: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    found = process("status", "--verdict", "fresh")
    assert (found.code, "o fresh" in found.out, "\\u6771" in found.out) == (0, True, True)
    assert process("stauts", "--json").json["error"]["kind"] == "usage"


def test_five_thousand_assets_print_quickly() -> None:
    def printed(many: int) -> tuple[str, float]:
        began = time.process_time()
        rows = [_row(n) for n in range(many)]
        text = status_text({"as_of": "2024-01-01T00:00:00.000000Z", "assets": rows}, every=True)
        return text, time.process_time() - began

    text, took = printed(5_000)
    assert text.startswith("5,000 assets: 50 late, 4,950 fresh; 10 with failures\n")
    assert "asset_0000" in text.splitlines()[4]
    # As much for each as when they are few: nothing is done for each pair of them.
    assert took < 30 * min(printed(500)[1] for _ in range(3))


def _row(n: int) -> dict[str, object]:
    late = n % 100 == 0
    verdict = {"verdict": "late" if late else "fresh", "lag": 90_000.0, "witness": ["a", "b"], "reason": "too old"}
    return {
        "name": f"asset_{n:04}",
        "freshness": verdict,
        "stale": {"is_stale": False, "partitions": 0, "reasons": []},
        "partitions": {"total": 31, "materialized": 30, "failed": n % 500 == 0, "missing": 1},
        "rows": n * 1_000,
        "last_materialized": "2023-12-31T00:00:00.000000Z",
        "data_through": "2023-12-31T00:00:00.000000Z",
    }


WIDTHS = st.lists(st.integers(0, 60), min_size=2, max_size=7)


@tried_on(30)
@given(WIDTHS, st.integers(20, 200), st.data())
def test_columns_are_fitted_to_the_room(widths: list[int], room: int, data: st.DataObject) -> None:
    headers = [str(place) for place in range(len(widths))]
    spare = data.draw(st.lists(st.sampled_from(headers[1:]), unique=True)) if len(headers) > 1 else []
    spare = [name for name in spare if name != headers[-1]]
    found = fitted(headers, widths, room, spare)
    shown = [width for width in found if width]
    assert all(new <= old for new, old in zip(found, widths, strict=True))
    assert sum(shown) + 2 * (len(shown) - 1) <= room or max(shown) <= 8
    if sum(width + 2 for width in widths) <= room:
        assert found == widths


@tried_on(30)
@given(st.text(max_size=30), st.integers(4, 30))
def test_cells_are_cut_to_their_room_and_safe(text: str, room: int) -> None:
    shown = cut(one_line(text), room)
    assert width(shown) <= room
    assert shown.isprintable()
    assert "\n" not in table(["a"], [[text]]).split("\n", 1)[1]


def test_what_a_terminal_would_act_upon_is_written_out(cli: Cli, folder: Path) -> None:
    hostile = "a\x1b]0;owned\x07\u202eb\x9b2J"
    assert safe(hostile) == "a\\x1b]0;owned\\x07\\u202eb\\x9b2J"
    assert safe("\x1b[31mred\x1b[0m\n\tnext") == "\x1b[31mred\x1b[0m\n\tnext"
    (folder / "odd.py").write_text(
        f"from headwater import flow\n\n@flow\ndef odd():\n    raise ValueError({hostile!r})\n"
    )
    done = cli("run", "odd.py")
    assert done.code == 1
    for text in (done.err, cli("runs").out, cli("runs", "--json").out):
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\x9b"} or "\\u" in text
    assert "\x1b" not in cli("runs").out


def test_a_very_long_error_of_a_run_is_cut_in_a_pipe_too_and_whole_as_json(cli: Cli, folder: Path) -> None:
    text = "no such row: " + "x" * 100_000
    (folder / "job.py").write_text(
        f"from headwater import flow\n\n\n@flow\ndef job():\n    raise ValueError({text!r})\n"
    )
    assert cli("run", "job.py").code == 1
    row = cli("runs").out.splitlines()[1]
    assert len(row) < 500
    assert "no such row: xxx" in row
    assert row.endswith("x… (100,013 characters: --json tells all)")
    (found,) = cli("runs", "--json").json["runs"]
    assert found["error"].endswith(text)
