"""The code of an asset's producer is read when a definition is asked for it; the definition is the same value before and after."""

import dataclasses
import pickle

import pytest

from headwater import Asset, materialize
from headwater.assets.definition_json import definition_from_json, definition_to_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.dependencies import topological
from headwater.core import source
from headwater.testing import project


@pytest.fixture
def reads(monkeypatch):
    """The names of the functions whose source was read."""
    found = []
    read = source.source_of
    monkeypatch.setattr(source, "source_of", lambda fn, root: found.append(fn.__name__) or read(fn, root))
    return found


def define():
    raw = Asset("raw", at="csv://raw.csv")

    @materialize(Asset("made", at="parquet://lake/made"), inputs={"rows": raw})
    def make(rows):
        """What it makes."""
        return rows


def test_code_is_read_once_and_only_when_asked_for(tmp_path, reads):
    with project(tmp_path) as found:
        define()
        definitions = found.definitions.all()
        assert topological(definitions) == ("raw", "made")
        assert [one.is_source for one in definitions.values()] == [True, False]
        assert reads == []
        made = definitions["made"]
        assert made.source.hash == made.code_version
        assert made.source.file.endswith("test_code_of_definitions.py")
        assert definitions["raw"].source is definitions["raw"].code_version is None
        assert found.definitions.all() == definitions
        assert reads == ["make"]


def test_a_definition_whose_code_was_not_read_is_a_value_like_any_other(tmp_path):
    with project(tmp_path) as found:
        define()
        made = found.definitions.all()["made"]
    again = definition_from_json(definition_to_json(made))
    assert made == again
    assert again.is_source is made.is_source is False
    with project(tmp_path) as found:
        define()
        # Each of these is the first to ask.
        assert found.definitions.all()["made"] == again
    with project(tmp_path) as found:
        define()
        assert dataclasses.replace(found.definitions.all()["made"], description=None).source == again.source
    with project(tmp_path) as found:
        define()
        assert repr(found.definitions.all()["made"]) == repr(again)
    with project(tmp_path) as found:
        define()
        assert dataclasses.replace(found.definitions.all()["made"], code_version="other").code_version == "other"


def test_what_a_definition_does_not_have_is_an_error_as_ever():
    with pytest.raises(AttributeError, match="'AssetDefinition' object has no attribute 'colour'"):
        AssetDefinition(ref=None).colour  # noqa: B018
    assert pickle.loads(pickle.dumps(AssetDefinition(ref=None))).code_version is None


def test_a_producer_tells_its_place_in_each_project(tmp_path):
    @materialize(Asset("made_twice", at="parquet://lake/made_twice"))
    def make():
        return []

    here = make.source_in(tmp_path)
    there = make.source_in(source.Path(__file__).parent)
    assert (here.hash, here.line) == (there.hash, there.line)
    assert there.file == "test_code_of_definitions.py" != here.file
