"""What may be defined again in a process, and what is a second definition of the same name."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from headwater.assets import registry
from headwater.errors import DefinitionError

SHOP = """
from headwater import Asset, materialize

orders = Asset("orders", at="parquet://lake/old")


@materialize(orders)
def make():
    return [{"amount": 1}]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module `reloaded_shop` that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with registry.scope():
        yield tmp_path / "reloaded_shop.py"
    sys.modules.pop("reloaded_shop", None)


def loaded(file: Path, text: str) -> ModuleType:
    """The module of this file, with this text in it now."""
    file.write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    known = sys.modules.get(file.stem)
    return importlib.import_module(file.stem) if known is None else importlib.reload(known)


def test_a_module_may_be_reloaded_with_what_has_changed(shop: Path) -> None:
    loaded(shop, SHOP)
    loaded(shop, SHOP)
    module = loaded(shop, SHOP.replace("lake/old", "lake/new").replace("make", "made"))
    assert registry.current().assets["orders"].at == "parquet://lake/new"
    assert registry.current().producers["orders"] is module.made


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('Asset("orders", at="parquet://lake/new")', "two assets named 'orders'"),
        ("@materialize(orders)\ndef make_again():\n    return []", "two producers: make and make_again"),
    ],
)
def test_a_module_that_is_imported_defines_a_name_once(shop: Path, more: str, what: str) -> None:
    with pytest.raises(DefinitionError, match=what):
        loaded(shop, f"{SHOP}\n{more}\n")
    sys.modules.pop(shop.stem, None)
    loaded(shop, SHOP)  # mended, and imported again
    with pytest.raises(DefinitionError, match=what):
        loaded(shop, f"{SHOP}\n{more}\n")


HOOKED = """
from headwater import Asset, Freshness, on_freshness

orders = Asset("orders", at="parquet://lake/orders", freshness=Freshness(max_lag="1h"))


@on_freshness
def every(change): ...


@on_freshness(orders)
def _(change): ...


@on_freshness(orders)
def _(change): ...
"""


def test_a_hook_that_is_defined_again_hears_once(shop: Path) -> None:
    """Of a module that is reloaded and of a cell that is run again; two of one name in one file are two."""
    loaded(shop, HOOKED)
    module = loaded(shop, "\n\n" + HOOKED)
    hooks = registry.current().freshness_hooks
    assert hooks[None] == [module.every]
    assert (len(hooks["orders"]), hooks["orders"][-1]) == (2, module._)
    hooks.clear()
    cells = {"__name__": "__main__"}
    for cell in ("cell 1", "cell 1", "cell 2"):
        exec(compile(HOOKED, cell, "exec"), cells)
    assert hooks[None] == [cells["every"]]
    assert (len(hooks["orders"]), hooks["orders"][-1]) == (2, cells["_"])
