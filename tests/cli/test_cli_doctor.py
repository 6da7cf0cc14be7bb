"""`headwater doctor`: what it finds, what it advises, and that it changes nothing."""

import os
import shutil
from pathlib import Path

import duckdb
import pytest
from cli_project import Cli, Done

from headwater.cli.examination import file_system
from headwater.core.journal.home import Home


def states(done: Done) -> dict[str, str]:
    """The worst state of each check."""
    found: dict[str, str] = {}
    for check in done.json["checks"]:
        found[check["name"]] = max(found.get(check["name"], "ok"), check["state"], key=("ok", "warn", "fail").index)
    return found


def texts(done: Done, name: str) -> str:
    return "\n".join(
        f"{check['text']} {check.get('hint', '')}" for check in done.json["checks"] if check["name"] == name
    )


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_sound_project_is_well_and_left_as_it_is(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    assert cli("status").code == 0
    before = contents(shop)
    done = cli("doctor", "--json")
    assert (done.code, done.json["ok"]) == (0, True)
    assert set(states(done).values()) == {"ok"}
    assert "project = 'shop' from [tool.headwater]" in texts(done, "settings")
    assert "up to date" in texts(done, "projection")
    assert "shop: 4 assets" in texts(done, "modules")
    assert contents(shop) == before
    plain = cli("doctor")
    assert plain.code == 0
    assert plain.out.splitlines()[-1].endswith("0 to look at, 0 failed")


def test_a_variable_that_is_no_setting_is_named_with_the_nearest(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEADWATER_REFESH", "HEADWATER_LOCATION", "HEADWATER_DRAIN", "HEADWATER_REFRESH"):
        monkeypatch.setenv(name, "0")
    done = cli("doctor", "--json")
    assert (done.code, states(done)["settings"]) == (0, "warn")
    wrong = [found for found in done.json["checks"] if found["name"] == "settings" and found["state"] == "warn"]
    assert [found["text"] for found in wrong] == [
        f"the environment variable HEADWATER_{name.upper()} is passed over: there is no setting '{name}'"
        for name in ("drain", "location", "refesh")
    ]
    assert wrong[-1]["hint"] == "did you mean 'refresh'?"


def test_an_empty_folder_is_well_and_stays_empty(cli: Cli, folder: Path) -> None:
    done = cli("doctor", "--json")
    assert (done.code, states(done)["home"]) == (0, "ok")
    assert list(folder.iterdir()) == []


def test_what_is_behind_damaged_or_broken_is_said_with_a_remedy(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    assert cli("status").code == 0
    assert cli("run", "shop.py:report", "-p", "day=2024-01-05").code == 0
    assert " behind: the next look reads what is new" in texts(cli("doctor", "--json"), "projection")

    (shop / ".headwater" / "headwater.duckdb").write_bytes(b"x" * 9_000)
    segment = max((shop / ".headwater" / "journal").glob("*.ndjson"), key=lambda path: path.stat().st_size)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    (shop / "shop.py").write_text("import absent_module\n")
    done = cli("doctor", "--json")
    found = states(done)
    assert (done.code, done.json["ok"]) == (1, False)
    assert (found["projection"], found["journal"], found["modules"]) == ("warn", "fail", "fail")
    assert "headwater rebuild" in texts(done, "projection")
    assert segment.stem in texts(done, "journal")
    assert "absent_module" in texts(done, "modules")
    plain = cli("doctor")
    assert plain.code == 1
    assert "✖ fail" in plain.out
    assert "hint: " in plain.out


def test_a_projection_in_anothers_hands_is_said(process: Cli, cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    assert cli("status").code == 0
    with duckdb.connect(str(shop / ".headwater" / "headwater.duckdb")):
        done = process("doctor", "--json")
    assert (done.code, states(done)["projection"]) == (0, "warn")
    assert str(os.getpid()) in texts(done, "projection")


def test_files_that_vanish_meanwhile_are_no_finding(cli: Cli, shop: Path) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    # To whoever asks for its size and its age, a file that is gone by then looks like this.
    (shop / ".headwater" / "journal" / "ended.new").symlink_to("gone")
    done = cli("doctor", "--json")
    assert (done.code, states(done)["clock"], states(done)["home"]) == (0, "ok", "ok")


def test_a_home_that_can_not_be_written_is_said(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    monkeypatch.setattr(Home, "is_writable", lambda self: False)
    done = cli("doctor", "--json")
    assert (done.code, states(done)["home"]) == (0, "warn")
    assert "not writable" in texts(done, "home")
    assert "builds one of its own" in texts(done, "projection")


@pytest.mark.parametrize(("lost", "state"), [("locks", "warn"), ("tmp", "warn"), ("journal", "fail")])
def test_a_folder_that_a_copy_left_out_is_named(cli: Cli, shop: Path, lost: str, state: str) -> None:
    assert cli("materialize", "sales", "-p", "2024-01-05").code == 0
    shutil.rmtree(shop / ".headwater" / lost)
    done = cli("doctor", "--json")
    assert states(done)["home"] == state
    assert lost in texts(done, "home")
    assert "put it back" in texts(done, "home")
    assert not (shop / ".headwater" / lost).exists()


def test_a_home_that_is_none_fails(cli: Cli, shop: Path) -> None:
    (shop / ".headwater").write_text("a file")
    done = cli("doctor", "--json")
    assert (done.code, states(done)["home"]) == (1, "fail")
    assert str(shop / ".headwater") in texts(done, "home")


def test_a_home_whose_path_duckdb_can_not_open_fails(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Home.open(shop / "a\\b", create=True)
    monkeypatch.setenv("HEADWATER_HOME", "a\\b")
    done = cli("doctor", "--json")
    assert (done.code, states(done)["projection"]) == (1, "fail")
    assert "'\\'" in texts(done, "projection")


def test_of_a_setting_with_thousands_of_values_the_first_are_told(cli: Cli, shop: Path) -> None:
    limits = "".join(f"limit_{number} = 3\n" for number in range(5_000))
    with (shop / "pyproject.toml").open("a") as file:
        file.write(f"[tool.headwater.limits]\n{limits}")
    found = texts(cli("doctor", "--json"), "settings")
    assert "limits = {'limit_0': 3, 'limit_1': 3, " in found
    assert "letters) from [tool.headwater]" in found
    assert len(found) < 2_000
    assert "'shop'" in found


def test_settings_are_traced_to_the_environment(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_HOME", str(shop / "elsewhere"))
    found = texts(cli("doctor", "--json"), "settings")
    assert "from the environment variable HEADWATER_HOME" in found


def test_locations_are_traced_by_their_names_and_never_shown(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (shop / "pyproject.toml").open("a") as file:
        file.write('[tool.headwater.locations]\nlake = "s3://key:canary@lake"\ndb = "shop.duckdb"\n')
    done = cli("doctor", "--json")
    assert f"locations = {{lake}}, {{db}} from [tool.headwater] in {shop / 'pyproject.toml'}" in texts(done, "settings")
    assert "canary" not in done.out
    monkeypatch.setenv("HEADWATER_LOCATIONS", "db=other.duckdb")
    told = texts(cli("doctor", "--json"), "settings")
    assert "locations = {db} from the environment variable HEADWATER_LOCATIONS" in told
    monkeypatch.setenv("HEADWATER_LOCATIONS", "")
    told = texts(cli("doctor", "--json"), "settings")
    assert "locations = none from the environment variable HEADWATER_LOCATIONS" in told


def test_the_file_system_is_the_one_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path.resolve()}/a\\040b nfs4 rw 0 0\nproc /proc proc rw 0 0\n"
    )
    assert file_system(tmp_path / "a b" / "home", mounts) == "nfs4"
    assert file_system(tmp_path, mounts) == "ext4"
    assert file_system(tmp_path, tmp_path / "absent") is None


def test_a_home_that_can_not_be_reached_fails_and_so_does_what_asks_of_it(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a folder of somebody else's: whether there is one nobody can tell, so it counts as no empty one."""
    monkeypatch.setenv("HEADWATER_HOME", "x" * 300)
    done = cli("doctor", "--json")
    assert done.code == 1
    assert {name for name, state in states(done).items() if state != "ok"} == {"home"}
    assert "the home can't be used: File name too long" in texts(done, "home")
    for command in (["status"], ["runs"], ["lineage"], ["freshness"]):
        done = cli(*command)
        assert (done.code, done.out) == (1, "")
        assert "error: the home can't be used: File name too long" in done.err
        assert "HEADWATER_HOME" in done.err


@pytest.mark.parametrize("file", ["lake", "flows.py/events.ndjson", "/dev/full"])
def test_a_file_that_can_not_take_events_fails(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    (shop / "lake").mkdir(exist_ok=True)
    (shop / "flows.py").touch()
    monkeypatch.setenv("HEADWATER_OPENLINEAGE_FILE", file)
    done = cli("doctor", "--json")
    assert states(done)["openlineage"] == "fail"
    assert "events can't be written" in texts(done, "openlineage")
    monkeypatch.setenv("HEADWATER_OPENLINEAGE_FILE", "new/events.ndjson")
    assert states(cli("doctor", "--json"))["openlineage"] == "ok"
