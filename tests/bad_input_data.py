"""Mistakes in data and places: what functions return, files that are damaged, places that can't be written, the home."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from zlib import crc32

from bad_input_definitions import writes
from bad_input_world import Mistake, Spoil

from headwater.core.journal.lines import head_of

WITHOUT = '@materialize(Asset("w", at="parquet://lake/w"))\ndef make():\n'


def returns(title: str, script: str, *, what: str, hint: str, where: str = "also.py:", **more: object) -> Mistake:
    """A materialization that fails, for what its function returned or did."""
    return Mistake(
        title=title,
        does="headwater materialize w -f also.py",
        code=int(more.pop("code", 1)),  # type: ignore[call-overload]
        what=what,
        where=where,
        hint=hint,
        script=script,
        **more,  # type: ignore[arg-type]
    )


def changes(name: str, change: Callable[[bytes], bytes]) -> Spoil:
    """Changes a file."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def half(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]


VALUES = (
    returns(
        "A function that returns nothing",
        WITHOUT + "    pass\n",
        what="w: a value of type NoneType can't be stored",
        where="make (/home/you/shop/also.py:7)",
        hint="return a Polars lazy or eager frame",
    ),
    returns(
        "Columns of different lengths",
        WITHOUT + '    return {"a": [1, 2], "b": [1]}\n',
        what="w: the rows make no table",
        hint="give every column one type",
        engine=True,
    ),
    returns(
        "Too many values for two assets",
        '@materialize("parquet://lake/w", "parquet://lake/v")\ndef make():\n    return [], [], []\n',
        what="w: make makes 2 assets and returned tuple of 3",
        where="make (/home/you/shop/also.py:7)",
        hint="return a tuple of 2 values, or a mapping with the keys w, v",
    ),
    returns(
        "A function that raises",
        WITHOUT + '    return {}["shop"]\n',
        what="w: KeyError: 'shop'",
        where="also.py:9",
        hint="mend what that line does",
    ),
    returns(
        "A lazy frame that can't be executed",
        WITHOUT + '    return pl.LazyFrame({"a": [1]}).select("b")\n',
        what="w: the data of 'w' can't be computed",
        where="parquet://lake/w",
        hint="mend the plan that the function returns",
        engine=True,
    ),
    returns(
        "An argument that nothing gives",
        '@materialize(Asset("w", at="parquet://lake/w"))\ndef make(x):\n    return x\n',
        what="w: make needs 'x', which was not passed and is no input",
        where="make (/home/you/shop/also.py:7)",
        hint="write x: Annotated[polars.LazyFrame, the asset]",
    ),
    returns(
        "A time column that is not there",
        '@materialize(Asset("w", at="parquet://lake/w", time_column="at"))\ndef make():\n    return [{"a": 1}]\n',
        what="w: the data for 'w' has no column 'at', which is its time column",
        hint="its columns: 'a'",
    ),
    returns(
        "A partition column that is not there",
        'days = DailyPartitions("2024-01-01", "2024-01-02")\n\n'
        '@materialize(Asset("w", at="parquet://lake/w", partitions=days, partition_column="day"))\n'
        'def make():\n    return [{"a": 1}]\n',
        what="w@2024-01-01: the data for 'w' has no column 'day', which is its partition column",
        hint="its columns: 'a'",
    ),
    Mistake(
        title="Rows outside their partition",
        does="headwater materialize sales --partition 2024-01-05",
        code=1,
        what="sales@2024-01-05: 1 of 2 rows lies outside the partition 2024-01-05 of 'sales'",
        where="column 'at', partition 2024-01-05",
        hint="filter the rows in the function",
        edits=(('partition.end - timedelta(hours=12), "12h"', 'partition.end + timedelta(hours=12), "36h"'),),
        before="`ingest` makes rows of the day after, too.",
    ),
    Mistake(
        title="A schema that changed",
        does="headwater materialize daily --partition 2024-01-05",
        code=1,
        what="daily@2024-01-05: the columns of 'daily' have changed: 'total' is DOUBLE in the table and VARCHAR in the data",
        where="main.daily in /home/you/shop/shop.duckdb",
        hint="cast the column to the table's type",
        edits=(('total=pl.col("amount").sum())', 'total=pl.col("amount").sum().cast(pl.String))'),),
        before="`summarise` gives `total` as text, and the table has numbers.",
    ),
    returns(
        "Columns that a table can't tell apart",
        '@materialize(Asset("w", at="duckdb://shop.duckdb/w"))\ndef make():\n    return [{"a": 1, "A": 2}]\n',
        what="w: the data for 'w' has columns 'a' and 'A', which a table can't tell apart",
        hint="rename one of them",
    ),
    returns(
        "SQL with an unknown column",
        "from shop import shops\n\n"
        '@materialize(Asset("w", at="duckdb://shop.duckdb/w"), inputs={"shops": shops})\n'
        'def make(shops: Asset):\n    return sql("select citty from {shops}", shops=shops)\n',
        what="w: the query of 'w' can't be executed",
        where="select citty from {shops}",
        hint="mend the text that the function returns with sql(…)",
        engine=True,
    ),
    returns(
        "SQL that gets an asset's name instead of the asset",
        '@materialize(Asset("w", at="duckdb://shop.duckdb/w"))\n'
        'def make():\n    return sql("select city from {shops}", shops="shops")\n',
        what="w: the query of 'w' can't be executed",
        where="select city from 'shops'",
        hint="it reads {orders} where it gets orders=…, the asset itself and not its name",
        engine=True,
    ),
    returns(
        "SQL that is no query",
        '@materialize(Asset("w", at="duckdb://shop.duckdb/w"))\ndef make():\n    return sql("drop table daily")\n',
        what="w: the query of 'w' is not one SELECT",
        where="drop table daily",
        hint="with a single SELECT",
    ),
    returns(
        "SQL that names what it was not given",
        '@materialize(Asset("w", at="duckdb://shop.duckdb/w"))\ndef make():\n    return sql("select * from {daily}")\n',
        what="w: the query names {daily}, which was not given",
        where="select * from {daily}",
        hint="sql(…, daily=…)",
    ),
    returns(
        "An option that the writer does not know",
        '@materialize(Asset("w", at="parquet://lake/w", options={"compresion": "zstd"}))\ndef make():\n'
        '    return [{"a": 1}]\n',
        what="w: the asset 'w' has an option 'compresion' that its materializer does not know",
        hint="known: compression",
    ),
    returns(
        "A blocking check that fails",
        WITHOUT + '    return [{"a": 1}]\n\n'
        "@check(make.assets[0], blocking=True)\ndef many(df):\n    return df.height > 5, f'only {df.height} row'\n",
        code=3,
        what="w: the check 'many' failed on w: only 1 row",
        where="parquet://lake/w",
        hint="the old data stays in place",
    ),
    Mistake(
        title="A blocking check that fails on a partition",
        does="headwater materialize sales --partition 2024-01-05",
        code=3,
        what="sales@2024-01-05: the check 'some_sales' failed on sales@2024-01-05",
        where="parquet://lake/sales",
        hint="the old data stays in place",
        spoil=writes("empty-2024-01-05", ""),
        before="There are no sales on that day.",
    ),
    returns(
        "A check that raises",
        WITHOUT + '    return [{"a": 1}]\n\n'
        "@check(make.assets[0], blocking=True)\ndef many(df):\n    raise KeyError('b')\n",
        code=3,
        what="w: the check 'many' failed on w: the check raised KeyError: 'b'",
        where="parquet://lake/w",
        hint="mend the data or the check",
    ),
    returns(
        "A check that answers neither yes nor no",
        WITHOUT + '    return [{"a": 1}]\n\n'
        "@check(make.assets[0], blocking=True)\ndef many(df):\n    return df.height\n",
        code=3,
        what="w: the check 'many' failed on w: the check returned int, expected True or False",
        where="parquet://lake/w",
        hint="mend the data or the check",
    ),
    Mistake(
        title="An input that was never made",
        does="headwater materialize daily --partition 2024-01-09",
        code=3,
        what="daily@2024-01-09: the input 'sales' misses 1 of 1 partitions: 2024-01-09",
        where="parquet://lake/sales",
        hint="make it first: headwater materialize sales --partition 2024-01-09",
    ),
    Mistake(
        title="A source that is not there",
        does="headwater materialize daily --partition 2024-01-05",
        code=3,
        what="daily@2024-01-05: the input 'shops' is not there, and nothing that is loaded makes it",
        where="csv://shops.csv",
        hint="put its data there",
        spoil=lambda folder: (folder / "shops.csv").rename(folder / "elsewhere.csv") and None,
        damages=("shops.csv",),
        before="`shops.csv` was moved away.",
    ),
)

DAY = "lake/sales/2024-01-05.parquet"
MAKES_DAY = "headwater materialize daily --partition 2024-01-05"


def held(name: str) -> Spoil:
    """Another program has a DuckDB file open for writing."""

    @contextlib.contextmanager
    def holding(folder: Path) -> Iterator[None]:
        text = f"import duckdb, sys; c = duckdb.connect({str(folder / name)!r}); print('open', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", text]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            yield
            child.stdin.close()

    def spoil(folder: Path) -> AbstractContextManager[object]:
        return holding(folder)

    return spoil


FILES = (
    Mistake(
        title="A damaged Parquet file",
        does=MAKES_DAY,
        code=1,
        what="daily@2024-01-05: the data of 'sales' can't be read",
        where=f"/home/you/shop/{DAY}",
        hint="make it again (headwater materialize sales --partition 2024-01-05)",
        spoil=changes(DAY, half),
        damages=(DAY,),
        before="Half of the file is missing.",
        engine=True,
    ),
    Mistake(
        title="An empty Parquet file",
        does=MAKES_DAY,
        code=1,
        what="daily@2024-01-05: the data of 'sales' can't be read",
        where=f"/home/you/shop/{DAY}",
        hint="make it again (headwater materialize sales --partition 2024-01-05)",
        spoil=changes(DAY, lambda _: b""),
        damages=(DAY,),
        engine=True,
    ),
    Mistake(
        title="A damaged CSV file",
        does=MAKES_DAY,
        code=1,
        what="daily@2024-01-05: the file of 'shops' can't be read",
        where="/home/you/shop/shops.csv",
        hint="see the file, or give reader options",
        spoil=changes("shops.csv", lambda _: b'shop,city\n1,"Ber\n\xff\xfe,3,4\n'),
        damages=("shops.csv",),
        engine=True,
    ),
    Mistake(
        title="An empty CSV file",
        does=MAKES_DAY,
        code=1,
        what="daily@2024-01-05: the file of 'shops' can't be read",
        where="/home/you/shop/shops.csv",
        hint="see the file, or give reader options",
        spoil=changes("shops.csv", lambda _: b""),
        damages=("shops.csv",),
        engine=True,
    ),
    Mistake(
        title="A damaged DuckDB file",
        does="headwater materialize totals",
        code=1,
        what="totals: the database can't be read",
        where="/home/you/shop/shop.duckdb",
        hint="put a sound copy in its place, or move it away and make its assets again",
        spoil=changes("shop.duckdb", half),
        damages=("shop.duckdb",),
        engine=True,
    ),
    Mistake(
        title="A file that is no DuckDB database",
        does="headwater materialize totals",
        code=1,
        what="totals: the file is not a DuckDB database",
        where="/home/you/shop/shop.duckdb",
        hint="name another file in the asset's location",
        spoil=writes("shop.duckdb", "a text\n"),
        damages=("shop.duckdb",),
    ),
    Mistake(
        title="A DuckDB file that another program holds",
        does="headwater materialize totals",
        code=1,
        what="totals: the database is held by another program (process 4711)",
        where="/home/you/shop/shop.duckdb",
        hint="a DuckDB file admits one writing process",
        spoil=held("shop.duckdb"),
        before="It is open in a notebook.",
    ),
    returns(
        "A place that can't be written",
        '@materialize(Asset("w", at="parquet://shops.csv/w"))\ndef make():\n    return [{"a": 1}]\n',
        what="w: 'w' can't be written: Not a directory",
        where="/home/you/shop/shops.csv",
        hint="see that the place can be written",
    ),
    returns(
        "A full disk under the data",
        'import random\n\n@materialize(Asset("w", at="parquet://lake/w"))\ndef make():\n'
        "    return pl.DataFrame({'a': random.Random(7).randbytes(12_000_000)}).select(pl.col('a').repeat_by(1).explode())\n",
        what="w: 'w' can't be written: File too large",
        where="/home/you/shop/lake",
        hint="make room on the disk",
        limit=6_000_000,
        before="No more than 6 MB fit.",
    ),
)


def the_segment(folder: Path) -> Path:
    """The oldest segment of the journal."""
    return min((folder / ".headwater" / "journal").glob("*.ndjson"))


def flips(folder: Path) -> None:
    """One bit of a record in the middle, and the projection has to read it again."""
    path = the_segment(folder)
    lines = path.read_bytes().split(b"\n")
    line = bytearray(lines[len(lines) // 2])
    line[len(line) // 2] ^= 1
    path.write_bytes(b"\n".join([*lines[: len(lines) // 2], bytes(line), *lines[len(lines) // 2 + 1 :]]))
    (folder / ".headwater" / "headwater.duckdb").unlink()


def from_the_future(folder: Path) -> None:
    """A whole segment that a newer version wrote."""
    path = the_segment(folder)
    newer = path.with_name("ffffffff-0000-7000-8000-000000000000.ndjson")
    line = path.read_bytes().split(b"\n")[0]
    line = line.replace(head_of(path.stem), head_of(newer.stem)).replace(b'"format":1', b'"format":2')[:-16]
    newer.write_bytes(line + b',"c":"%08x"}\n' % crc32(line))


def puts_a_file_for_the_journal(folder: Path) -> None:
    """The folder of the segments is elsewhere, and a file has its name."""
    shutil.move(folder / ".headwater/journal", folder / "kept")
    (folder / ".headwater/journal").write_text("")


HOME = (
    Mistake(
        title="A home that can't be written",
        does="headwater materialize sales --partition 2024-01-07",
        code=1,
        what="the home can't be used: Not a directory",
        where="/home/you/shop/shops.csv/home",
        hint="it must be a folder on a local disk that you may write to; choose another with HEADWATER_HOME",
        environment=(("HEADWATER_HOME", "/home/you/shop/shops.csv/home"),),
        before="`HEADWATER_HOME=shops.csv/home`, below a file.",
    ),
    Mistake(
        title="A home that is a file",
        does="headwater materialize sales --partition 2024-01-07",
        code=1,
        what="the home can't be used: File exists",
        where="/home/you/shop/shops.csv",
        hint="choose another with HEADWATER_HOME",
        environment=(("HEADWATER_HOME", "/home/you/shop/shops.csv"),),
        before="`HEADWATER_HOME=shops.csv`",
    ),
    Mistake(
        title="A home that is somebody's folder",
        does="headwater materialize sales --partition 2024-01-07",
        code=1,
        what="the folder is not a Headwater home, and not empty: it holds 'sales'",
        where="/home/you/shop/lake",
        hint="choose another folder",
        environment=(("HEADWATER_HOME", "/home/you/shop/lake"),),
        before="`HEADWATER_HOME=lake`",
    ),
    Mistake(
        title="No home yet",
        does="headwater runs",
        code=1,
        what="nothing has been recorded here yet",
        where="/home/you/shop/empty",
        hint="run a flow first",
        environment=(("HEADWATER_HOME", "/home/you/shop/empty"), ("HEADWATER_MODULES", "")),
        before="In a folder where nothing ran.",
    ),
    Mistake(
        title="A home of an unknown version",
        does="headwater status",
        code=1,
        what="this home is in format '99', and this version of Headwater knows formats 1 to 2",
        where="/home/you/shop/.headwater/format",
        hint="a newer version of Headwater wrote it: upgrade",
        spoil=writes(".headwater/format", "headwater-home 99\n"),
        verify=1,
    ),
    Mistake(
        title="A segment of an unknown version",
        does="headwater status",
        code=1,
        what="this home is in format '2', and this version of Headwater knows only format 1",
        where="/home/you/shop/.headwater/journal/<id>.ndjson",
        hint="a newer version of Headwater wrote it: upgrade",
        spoil=from_the_future,
        verify=1,
    ),
    Mistake(
        title="A damaged journal segment",
        does="headwater verify",
        code=1,
        what="journal: <id> at byte 16742 (record 18): 362 bytes are not the record that was written",
        spoil=flips,
        before="A bit of the disk flipped. All other records are read as ever.",
        verify=1,
    ),
    Mistake(
        title="A damaged journal segment, seen in passing",
        does="headwater status",
        code=0,
        what="the journal is damaged: <id> at byte 16742 (record 18): 362 bytes are not the record that was written",
        spoil=flips,
        process=True,
        shown="err",
        before="What can be read is shown, and the damage is named on standard error.",
        verify=1,
    ),
    Mistake(
        title="A damaged projection",
        does="headwater status",
        code=0,
        what="the projection /home/you/shop/.headwater/headwater.duckdb can't be used",
        where="it is kept as headwater.duckdb.damaged-<time>",
        hint="rebuilt from the journal",
        spoil=changes(".headwater/headwater.duckdb", half),
        process=True,
        shown="err",
        engine=True,
        before="The board is printed as ever, from a projection that was built anew.",
    ),
    Mistake(
        title="A deleted projection",
        does="headwater rebuild",
        code=0,
        what="rebuilt /home/you/shop/.headwater/headwater.duckdb",
        spoil=lambda folder: (folder / ".headwater" / "headwater.duckdb").unlink(),
        before="Nothing is lost, and no command is needed: any command builds it anew.",
    ),
    Mistake(
        title="A folder for the journal that is a file",
        does="headwater materialize sales --partition 2024-01-07",
        code=1,
        what="the home can't be used: File exists",
        where="/home/you/shop/.headwater/journal",
        hint="choose another with HEADWATER_HOME",
        spoil=puts_a_file_for_the_journal,
        damages=("journal",),
        verify=1,
    ),
    Mistake(
        title="A full disk under the journal",
        does="headwater run shop.py:report -p day=2024-01-05",
        code=1,
        what="the journal can't be written: File too large",
        where="/home/you/shop/.headwater/journal",
        hint="free space or make the home writable; what was acknowledged before is safe",
        limit=0,
        before="Not a byte fits.",
    ),
)

FLOWS = (
    Mistake(
        title="A flow that raises",
        does="headwater run shop.py:breaks",
        code=1,
        what="breaks failed: RuntimeError: the roof is leaking",
        where="/home/you/shop/shop.py:",
        hint="headwater runs shows it; --debug gives the traceback",
    ),
    Mistake(
        title="A script whose flow raises",
        does="python also.py",
        code=1,
        what="ValueError: no rows",
        where='File "/home/you/shop/also.py", line 9, in fetch',
        script="@task\ndef fetch():\n    raise ValueError('no rows')\n\n@flow\ndef nightly():\n    fetch()\n\nnightly()\n",
        process=True,
        engine=True,
        before="Run by Python, your own error keeps its traceback: your lines, and none of ours.",
    ),
    Mistake(
        title="A script whose check fails",
        does="python also.py",
        code=1,
        what="headwater.errors.CheckFailed: the check 'many' failed on w",
        where="where: parquet://lake/w",
        hint="the old data stays in place",
        script=WITHOUT + '    return [{"a": 1}]\n\n'
        "@check(make.assets[0], blocking=True)\ndef many(df):\n    return False\n\n"
        "@flow\ndef nightly():\n    make()\n\nnightly()\n",
        process=True,
        engine=True,
    ),
    Mistake(
        title="A flow that exits",
        does="headwater run also.py:nightly",
        code=1,
        what="'nightly' was left by sys.exit(0) before it had returned",
        where="/home/you/shop/also.py:10",
        hint="return from it instead, or catch SystemExit",
        script="@flow\ndef nightly(days=()):\n    if not days:\n        sys.exit(0)\n",
        process=True,
        before="Its run has failed, and so does the process: it would look as if all was done.",
    ),
    Mistake(
        title="A flow that forks",
        does="python also.py",
        code=0,
        what="a forked child left the run of 'nightly', which only its parent ends: end it with os._exit(0)",
        script="@task\ndef double(number):\n    return 2 * number\n\n@flow\ndef nightly():\n"
        "    child = os.fork()\n    if child == 0:\n        return double(1)\n"
        "    os.waitpid(child, 0)\n    return double(2)\n\nif __name__ == '__main__':\n    nightly()\n",
        process=True,
        shown="err",
        before="The child came back from the flow. What it did is recorded, and the run ends once, when its parent does.",
    ),
)
