"""What many assets share is worked out once, and comes to the same as when each stands alone."""

import argparse
import ast
import dataclasses
import inspect
import tarfile
import types

import many_assets
import pytest
from many_assets import HOUR, NOW

from headwater import Asset, clock
from headwater.assets import board as boards
from headwater.assets import definition_json
from headwater.assets.dependencies import topological
from headwater.assets.freshness import board
from headwater.assets.staleness import staleness
from headwater.cli.board import chosen
from headwater.core import source
from headwater.errors import DefinitionError
from headwater.lineage.catalog import ProjectionCatalog
from headwater.loading import load_file
from headwater.testing import project

WIDTH = 5


def stale(found):
    return {name for name, one in found.items() if one.is_stale}


def test_a_module_of_many_assets_gives_the_graph_that_it_says(tmp_path):
    (tmp_path / "many_pipelines.py").write_text(many_assets.module_text(20, days=3, width=WIDTH))
    with project(tmp_path) as found:
        load_file(tmp_path / "many_pipelines.py", tmp_path)
        definitions = found.definitions.all()
        assert [one.asset for one in definitions["a12"].inputs] == ["a7", "a8"]
        assert len(topological(definitions)) == len({one.code_version for one in definitions.values()}) == 20
        assert {one.source.file for one in definitions.values()} == {"many_pipelines.py"}


@pytest.mark.parametrize("days", [0, 3])
def test_a_home_in_which_all_was_made_says_the_same_as_facts_in_memory(tmp_path, days):
    with project(tmp_path) as found:
        many_assets.define(20, days=days, width=WIDTH)
        many_assets.record(found, width=WIDTH)
        facts = found.catalog.facts()
        # The other way of asking: for some assets, and with definitions that only the journal knows.
        journaled = ProjectionCatalog(found.projection).facts([one.ref for one in facts.definitions.values()])
        assert journaled == facts == ProjectionCatalog(found.projection).facts()
        as_of = clock.now_us()
        assert stale(staleness(facts, as_of)) == set()
        assert {one.verdict for one in board(facts, as_of).values()} == {"late" if days else "fresh"}
        below = {"a2"} | {name for name, one in facts.definitions.items() if reaches(facts, name, "a2")}
        assert stale(staleness(many_assets.changed(facts, "a2"), as_of)) == below


def reaches(facts, name, target):
    return any(used.asset == target or reaches(facts, used.asset, target) for used in facts.definitions[name].inputs)


def test_the_counts_of_the_board_are_those_of_the_partitions():
    facts = many_assets.facts(12, days=4, width=WIDTH)
    made = dict(facts.assets["a3"].made)
    del made["2023-01-02"]
    facts = dataclasses.replace(facts, assets={**facts.assets, "a3": facts.assets["a3"]._replace(made=made)})
    (row,) = boards.status(facts, ["a3"], NOW + HOUR)["assets"]
    assert row["partitions"] == {"total": 4, "materialized": 3, "failed": 0, "missing": 1}


def test_a_selection_of_what_is_stale_judges_all_assets_once(monkeypatch):
    facts = many_assets.changed(many_assets.facts(12, width=WIDTH), "a1")
    asked = []
    monkeypatch.setattr("headwater.assets.judgements.staleness", lambda *given: asked.append(1) or staleness(*given))
    assert set(chosen(facts, "stale()", NOW)) == stale(staleness(facts, NOW))
    assert asked == [1]


def test_a_place_is_free_again_when_its_asset_is_defined_anew_elsewhere(tmp_path):
    with project(tmp_path):
        make = {"__name__": "__main__", "Asset": Asset}
        exec('Asset("x", at="parquet://lake/x")', make)
        exec('Asset("x", at="parquet://lake/moved")', make)
        exec('Asset("y", at="parquet://lake/x")', make)
        with pytest.raises(DefinitionError, match="the assets 'x' and 'y' are at the same place"):
            exec('Asset("y", at="parquet://lake/moved")', make)


def functions(module):
    holders = [module, *(one for one in vars(module).values() if isinstance(one, type))]
    return [
        inspect.unwrap(one) for held in holders for one in vars(held).values() if isinstance(one, types.FunctionType)
    ]


@pytest.mark.parametrize("module", [argparse, tarfile, many_assets], ids=lambda module: module.__name__)
def test_the_source_of_a_function_is_read_as_inspect_reads_it(module):
    found = functions(module)
    assert len(found) > 8
    for fn in found:
        block = source._read(fn, source._block)
        if block is not None:
            node, line = source._read(fn, inspect.getsourcelines)
            assert (ast.dump(block[0]), block[1]) == (ast.dump(node), line)


def test_equal_parts_of_journaled_definitions_are_one_value():
    one, other = many_assets.facts(2, days=3).definitions.values()
    first, second = (
        definition_json.definition_from_json(definition_json.definition_to_json(it)) for it in (one, other)
    )
    assert first.partitions is second.partitions
    assert first == one
