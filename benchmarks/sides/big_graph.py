"""The source of a module that defines `count` assets in layers of a hundred, each reading two of the layer above."""

import importlib
import py_compile
import sys
from pathlib import Path

WIDTH = 100

_HEADWATER = """
asset_{n} = Asset("asset_{n}", at="parquet://lake/asset_{n}.parquet"{divided})


@materialize(asset_{n}{inputs})
def make_{n}({parameters}):
    return [{{"x": {n}}}]

"""
_DAGSTER = """
@asset(name="asset_{n}"{inputs})
def make_{n}({parameters}):
    return {n}

"""


def inputs_of(number):
    """The numbers of the assets that one reads."""
    if number < WIDTH:
        return ()
    above = number - number % WIDTH - WIDTH
    return above + number % WIDTH, above + (number + 1) % WIDTH


def write(count, library, days=0):
    """Write the module, compiled as a user's would be after its first import; with so many daily partitions each."""
    template = _HEADWATER if library == "headwater" else _DAGSTER
    divided = ", partitions=DAYS" if days else ""
    imports = (
        "from headwater import Asset, DailyPartitions, materialize\n"
        if library == "headwater"
        else "from dagster import asset\n"
    )
    parts = [imports]
    for n in range(count):
        read = inputs_of(n)
        given = {name: f"asset_{number}" for name, number in zip(("left", "right"), read, strict=False)}
        if library == "headwater":
            spelled = ", ".join(f'"{name}": {value}' for name, value in given.items())
            inputs = f", inputs={{{spelled}}}" if read else ""
        else:
            spelled = ", ".join(f'"{name}": AssetIn("{value}")' for name, value in given.items())
            inputs = f", ins={{{spelled}}}" if read else ""
        parts.append(template.format(n=n, inputs=inputs, parameters=", ".join(given), divided=divided))
    if library == "dagster":
        parts[0] = "from dagster import AssetIn, asset\n"
    elif days:
        parts[0] += f'DAYS = DailyPartitions("2023-01-01", "2023-01-{days + 1:02}")\n'
    Path("big_graph_assets.py").write_text("".join(parts))
    py_compile.compile("big_graph_assets.py")


def load():
    """Import it."""
    sys.path.insert(0, "")
    importlib.invalidate_caches()
    return importlib.import_module("big_graph_assets")
