"""Mistakes in what is written: scripts, modules, settings, assets, inputs, tasks, checks."""

from pathlib import Path

from bad_input_world import Mistake, Spoil


def writes(name: str, text: str) -> Spoil:
    """Puts a file there."""

    def spoil(folder: Path) -> None:
        (folder / name).write_text(text)

    return spoil


def defines(title: str, script: str, *, what: str, hint: str, where: str = "also.py:", **more: object) -> Mistake:
    """A script that is loaded for its definitions and can't be."""
    return Mistake(
        title=title,
        does="headwater status -f also.py",
        code=2,
        what=what,
        where=where,
        hint=hint,
        script=script,
        **more,  # type: ignore[arg-type]
    )


MODULES = (
    Mistake(
        title="An unknown setting",
        does="headwater status",
        code=2,
        what="there is no setting 'projekt'",
        where="[tool.headwater] in /home/you/shop/pyproject.toml",
        hint="did you mean 'project'?",
        spoil=writes("pyproject.toml", "[tool.headwater]\nprojekt = 'x'\n"),
        before="`projekt = 'x'` stands in `[tool.headwater]`.",
    ),
    Mistake(
        title="A setting of the wrong type",
        does="headwater status",
        code=2,
        what="the setting 'modules' is wrong",
        where="[tool.headwater] in /home/you/shop/pyproject.toml",
        hint='write modules = ["shop"]',
        spoil=writes("pyproject.toml", "[tool.headwater]\nmodules = 'shop'\n"),
        before="`modules = 'shop'` stands in `[tool.headwater]`.",
        engine=True,
    ),
    Mistake(
        title="A broken pyproject.toml",
        does="headwater status",
        code=2,
        what="pyproject.toml can't be read",
        where="/home/you/shop/pyproject.toml",
        hint="mend the file",
        spoil=writes("pyproject.toml", "[tool.headwater\n"),
        before="A bracket is missing.",
        engine=True,
    ),
    Mistake(
        title="A setting of the environment that is wrong",
        does="headwater status",
        code=2,
        what="the setting 'openlineage_drain' is wrong",
        where="the environment variable HEADWATER_OPENLINEAGE_DRAIN",
        hint="write seconds",
        environment=(("HEADWATER_OPENLINEAGE_DRAIN", "soon"),),
        before="`HEADWATER_OPENLINEAGE_DRAIN=soon`",
        engine=True,
    ),
    Mistake(
        title="A module that is not there",
        does="headwater status",
        code=2,
        what="there is no module 'shpo'",
        where="/home/you/shop",
        hint="mend [tool.headwater] modules",
        spoil=writes("pyproject.toml", "[tool.headwater]\nmodules = ['shpo']\n"),
        before="`modules = ['shpo']` stands in `[tool.headwater]`.",
    ),
    Mistake(
        title="A file that is not there",
        does="headwater run shp.py:report",
        code=2,
        what="there is no file shp.py",
        where="/home/you/shop/shp.py",
        hint="name a Python file",
    ),
    defines(
        "A script that is not Python",
        "def broken(:\n",
        what="also.py is not valid Python",
        hint="python -m py_compile also.py",
        engine=True,
    ),
    defines(
        "A script that raises on import",
        'raise RuntimeError("no network")\n',
        what="also.py can't be loaded: RuntimeError: no network",
        where="also.py:7",
        hint="mend that line",
    ),
    defines(
        "A script that imports what is not installed",
        "import pandsa\n",
        what="also.py can't be loaded: ModuleNotFoundError: No module named 'pandsa'",
        where="also.py:7",
        hint="mend that line",
    ),
    defines(
        "A script that ends the process",
        "sys.exit(3)\n",
        what="also.py can't be loaded: it ends the process",
        where="also.py:7",
        hint="if __name__ == '__main__':",
    ),
    Mistake(
        title="A module that starts a run when it is imported",
        does="headwater status -m also",
        code=2,
        what="the module 'also' starts a run when it is imported",
        hint="if __name__ == '__main__':",
        script="@flow\ndef nightly():\n    return 1\n\nnightly()\n",
    ),
)

ASSETS = (
    defines(
        "Two assets of one name",
        'Asset("sales", at="parquet://lake/other")\n',
        what="there are two assets named 'sales': at parquet://lake/sales and at parquet://lake/other",
        where="also.py:7 (shop and also)",
        hint="give one of them another name, or import the one that exists",
    ),
    defines(
        "Two assets at one place",
        'Asset("takings", at="parquet://lake/sales")\n',
        what="the assets 'sales' and 'takings' are at the same place, parquet://lake/sales",
        where="also.py:7 (shop and also)",
        hint="one place holds one asset",
    ),
    defines(
        "Two assets at one place, spelt in two ways",
        'Asset("takings", at="duckdb://./shop.duckdb/DAILY")\n',
        what="the assets 'daily' and 'takings' are at the same place",
        where="duckdb://shop.duckdb/main.daily and duckdb://./shop.duckdb/DAILY",
        hint="one place holds one asset",
    ),
    defines(
        "Two producers of one asset",
        "from shop import sales\n\n@materialize(sales)\ndef again(partition):\n    return []\n",
        what="the asset 'sales' has two producers: ingest and again",
        where="also.py:9 (shop and also)",
        hint="an asset is made by one function",
    ),
    defines(
        "A CSV file that is to be written",
        '@materialize(Asset("w", at="csv://w.csv"))\ndef make():\n    return [{"a": 1}]\n',
        what="the asset 'w' can't be made at csv://, which is only read",
        where="@materialize: csv://w.csv",
        hint="what can be written is duckdb://, memory://, parquet://",
    ),
    defines(
        "A circle of inputs",
        'a, b = Asset("a", at="parquet://lake/a"), Asset("b", at="parquet://lake/b")\n\n'
        "@materialize(a)\ndef make_a(x: Annotated[pl.LazyFrame, b]):\n    return x\n\n"
        "@materialize(b)\ndef make_b(x: Annotated[pl.LazyFrame, a]):\n    return x\n",
        what="assets read each other in a circle: a <- b <- a",
        where="the inputs of a, b",
        hint="take one of these inputs away, or give all of them the same partitions, such as DailyPartitions(…), and "
        "read earlier partitions through it: .window(-1, -1)",
    ),
    defines(
        "An asset that is its own input",
        'a = Asset("a", at="parquet://lake/a")\n\n'
        "@materialize(a)\ndef make_a(x: Annotated[pl.LazyFrame, a]):\n    return x\n",
        what="the asset 'a' would be its own input",
        where="also.py:9 (make_a)",
        hint="give it partitions, such as DailyPartitions(…), and read an earlier partition of it: .window(-1, -1)",
    ),
    defines(
        "An input whose partitions can't be mapped",
        "from shop import sales\n\n"
        '@materialize("parquet://lake/w")\ndef make(x: Annotated[pl.LazyFrame, sales.window(-6, 0)]):\n    return x\n',
        what="'window of partitions from -6 to 0' needs the same step, time zone and offset on both sides",
        where="the input 'x' (sales) of make",
        hint="leave the mapping out to have it inferred",
    ),
    defines(
        "An input that is wanted as something unknown",
        "from shop import shops\n\n"
        '@materialize("parquet://lake/w")\ndef make(x: Annotated[dict, shops]):\n    return x\n',
        what="the input 'x' of make can't be given as dict",
        hint="annotate it as polars.LazyFrame",
    ),
    defines(
        "An annotation that can't be resolved",
        "from shop import shops\n\n"
        '@materialize("parquet://lake/w")\ndef make(x: "Annotated[pl.LazyFram, shops]"):\n    return x\n',
        what="the annotation of 'x' can't be resolved",
        hint="or use inputs={'x': …}",
        engine=True,
    ),
    defines(
        "An input without a parameter",
        "from shop import shops\n\n"
        '@materialize("parquet://lake/w", inputs={"sold": shops})\ndef make(x):\n    return x\n',
        what="inputs names 'sold', which is no parameter of make",
        hint="its parameters: x",
    ),
    defines(
        "A location of an unknown scheme",
        'Asset("w", at="s3://lake/w")\n',
        what="locations of the scheme 's3' are not supported: 's3://lake/w'",
        where="also.py:7 (asset 'w')",
        hint="supported: csv://, duckdb://, memory://, parquet://",
    ),
    defines(
        "A location without a scheme",
        'Asset("w", at="lake/w.parquet")\n',
        what="the location 'lake/w.parquet' has no scheme",
        hint="write 'parquet://lake/w.parquet'",
    ),
    defines(
        "A location outside the project",
        'Asset("w", at="parquet://../w")\n',
        what="the location 'parquet://../w' leaves its folder by '..'",
        hint="name the place from the project's root",
    ),
    defines(
        "A DuckDB location without a table",
        'Asset("w", at="duckdb://shop.duckdb")\n',
        what="the location 'duckdb://shop.duckdb' needs a file and a table",
        hint="for example duckdb://warehouse.duckdb/main.delays",
    ),
    defines(
        "An asset without a place",
        'Asset("w", at=None)\n',
        what="at of the asset 'w' can't be None",
        hint='write at="parquet://lake/x"',
    ),
    defines(
        "A name that can't be one",
        'Asset("a@b", at="parquet://lake/w")\n',
        what="an asset can't be named 'a@b': it holds '@', which stands before a partition's key",
        hint="use a plain word such as 'orders'",
    ),
    defines(
        "A misspelt argument of an asset",
        'Asset("w", at="parquet://lake/w", partition="day")\n',
        what="also.py can't be loaded: TypeError:",
        where="also.py:7",
        hint="mend that line",
        engine=True,
    ),
    defines(
        "Partitions that are none",
        'Asset("w", at="parquet://lake/w", partitions="daily")\n',
        what="partitions of the asset 'w' can't be 'daily'",
        hint='write partitions=DailyPartitions("2024-01-01")',
    ),
    defines(
        "Partitions that end before they start",
        'DailyPartitions("2024-01-01", "2023-01-01")\n',
        what="DailyPartitions from 2024-01-01 to 2023-01-01 has no partition",
        hint="the end is exclusive: it must lie after the start",
    ),
    defines(
        "Partitions that start at no date",
        'DailyPartitions("01.01.2024")\n',
        what="'01.01.2024' is not where a daily partition starts",
        hint="write keys like 2013-01-01, of the years 1000 to 9998",
    ),
    defines(
        "An unknown time zone",
        'DailyPartitions("2024-01-01", timezone="Europe/Berln")\n',
        what="'Europe/Berln' is not a time zone",
        hint="Europe/Berlin",
    ),
    defines(
        "A freshness policy that is none",
        'Asset("w", at="parquet://lake/w", freshness="26h")\n',
        what="freshness of the asset 'w' can't be '26h'",
        hint='write freshness=Freshness(max_lag="26h")',
    ),
    defines(
        "A duration that is none",
        'Freshness(max_lag="26 hours")\n',
        what="'26 hours' is not a duration",
        where="also.py:7 (Freshness(max_lag=…))",
        hint="such as '26h'",
    ),
    defines(
        "A warning after the limit",
        'Freshness(max_lag="1h", warn="2h")\n',
        what="warn=2h is not before max_lag=1h",
        hint="a warning comes first",
    ),
    defines(
        "@materialize without an asset",
        "@materialize\ndef make():\n    return []\n",
        what="@materialize needs the asset that the function makes",
        hint='or @materialize("parquet://lake/x")',
    ),
    defines(
        "@check without an asset",
        '@check("sales")\ndef some(df):\n    return True\n',
        what="@check needs the asset that it is for, got 'sales'",
        hint="write @check(orders)",
    ),
    defines(
        "A lambda as a task",
        "double = task(lambda number: 2 * number)\n",
        what="a lambda can't be a task: it has no name",
        hint="write it with def",
    ),
    defines(
        "A class as a task",
        "@task\nclass Double:\n    pass\n",
        what="a task is made of a function, got <class 'also.Double'>",
        hint="write @task or @task(retries=2)",
    ),
    defines(
        "An unknown option of a task",
        "@task(retry=3)\ndef fetch():\n    return 1\n",
        what="there is no option 'retry'",
        hint="did you mean",
    ),
    defines(
        "A number of retries that is none",
        '@task(retries="3")\ndef fetch():\n    return 1\n',
        what="retries is a number from 0, got '3'",
        hint="write retries=2",
    ),
    defines(
        "Outputs that are divided differently",
        'days = DailyPartitions("2024-01-01")\n'
        'a, b = Asset("a", at="parquet://lake/a", partitions=days), Asset("b", at="parquet://lake/b")\n\n'
        "@materialize(a, b)\ndef make():\n    return [], []\n",
        what="the assets a, b are partitioned differently",
        hint="assets of one function share their partitions: give them a function each",
    ),
    defines(
        "Another asset for a call that does not fit",
        '@materialize("parquet://lake/a")\ndef make():\n    return []\n\n'
        'make.with_options(assets=Asset("b", at="parquet://lake/b", partitions=DailyPartitions("2024-01-01")))\n',
        what="the asset 'b' is partitioned differently from 'a', which it stands for",
        hint='give it the same partitions: Asset("b", …, partitions=a.partitions)',
    ),
    defines(
        "A partition of an asset that has none",
        '@materialize("parquet://lake/a")\ndef make():\n    return []\n\nmake.at("2024-01-01")\n',
        what="the asset 'a' has no partitions",
        hint="give it some, or leave out .at(…)",
    ),
    defines(
        "A materialization that is cached",
        '@materialize("parquet://lake/a", cache=INPUTS)\ndef make():\n    return []\n',
        what="'make' makes assets and can't be cached: what it made last is its cache",
        hint="headwater materialize --only stale makes it when it is stale; cache a task that it calls",
    ),
    defines(
        "A version of code that is none",
        '@materialize("parquet://lake/a", version=2)\ndef make():\n    return []\n',
        what="the version of make can't be 2",
        hint='write version="2"',
    ),
    defines(
        "A batch that bounds nothing",
        '@materialize("parquet://lake/a", batch=10)\ndef make():\n    return []\n',
        what="batch=10 of 'make' bounds nothing",
        hint="it is a number from 1, for a function that makes several partitions: that declares `partitions`",
    ),
    defines(
        "A generator that makes one asset",
        '@materialize("parquet://lake/a")\ndef make():\n    yield 1\n',
        what="the generator function 'make' can't be a task that makes one asset as a whole",
        hint="return a list; to make several partitions in one call, declare `partitions` and yield (partition, data)",
    ),
    defines(
        "One partition and several at once",
        'a = Asset("a", at="parquet://lake/a", partitions=DailyPartitions("2024-01-01"))\n\n'
        "@materialize(a)\ndef make(partition, partitions):\n    return {}\n",
        what="'make' declares both `partition` and `partitions`",
        hint="`partition` is the one of a call, `partitions` are those of a call that makes several",
    ),
    defines(
        "An observer with parameters",
        'feed = Asset("feed", at="csv://feed.csv")\n\n@observer(feed)\ndef look(path):\n    return None\n',
        what="the observer of the asset 'feed' has parameters",
        hint="an observer is called without arguments",
    ),
    defines(
        "An observer that can't be called",
        'feed = Asset("feed", at="csv://feed.csv", observe="max(ts)")\n',
        what="'max(ts)' can't observe the asset 'feed'",
        hint="give a function, file_times(), column_max(name) …",
    ),
    defines(
        "An observer of nothing",
        '@observer("feed")\ndef look():\n    return None\n',
        what="@observer needs the asset that it is for, got 'feed'",
        hint="write @observer(feed)",
    ),
    defines(
        "A hook of freshness for a name",
        '@on_freshness("delays")\ndef tell(change):\n    pass\n',
        what="on_freshness needs a function or assets, got ('delays',)",
        hint="write @on_freshness, or @on_freshness(delays)",
    ),
    defines(
        "Two checks of one name",
        "from headwater.checks import row_count\n\n"
        'a = Asset("a", at="parquet://lake/a", checks=[row_count(min=1)])\n\n'
        '@check(a, name="row_count")\ndef mine(df):\n    return True\n',
        what="the asset 'a' has two checks named 'row_count'",
        hint='give one of them another name: name="…"',
    ),
    defines(
        "A deadline that is no time",
        'Asset("a", at="parquet://lake/a", freshness=Freshness(by="nine"))\n',
        what="'nine' is not a time of the day",
        where="Freshness(by=…)",
        hint='write by="09:00"',
    ),
    defines(
        "A deadline and a lag at once",
        'Asset("a", at="parquet://lake/a", freshness=Freshness("26h", by="09:00"))\n',
        what="a freshness policy has two limits, max_lag and by",
        where="Freshness",
        hint='write Freshness(max_lag="26h"), or Freshness(by="09:00", timezone="Europe/Berlin")',
    ),
    defines(
        "A tag that a column has and masks",
        'Asset("a", at="parquet://lake/a", column_tags={"mail": ["pii"]}, masks={"mail": ["pii"]})\n',
        what="the column 'mail' both has and masks the tag 'pii'",
        where="asset 'a'",
        hint="leave it out of one of the two",
    ),
)
