"""Selections: what they mean, on random graphs, and what is said of what can't be read."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from partition_cases import HOSTILE, defined
from tried import tried_on

from headwater.assets.definitions import AssetDefinition
from headwater.assets.dependencies import in_turns, topological
from headwater.assets.mappings import PartitionMapping, SameMapping, WindowMapping, mapping_of
from headwater.assets.partitions import DailyPartitions, PartitionsDefinition, ProductPartitions, StaticPartitions
from headwater.assets.selection import select
from headwater.assets.selection_syntax import quoted
from headwater.errors import DefinitionError, UnknownNameError, UsageError

Graph = Mapping[str, AssetDefinition]

FLIGHTS = {
    one.name: one
    for one in [
        defined("weather", kind="csv"),
        defined("airlines", kind="csv", tags={"tier": "bronze"}),
        defined("flights", kind="parquet", group="raw", tags={"tier": "gold"}, owners=("team:ops",)),
        defined("delays", ["flights", "airlines"], kind="duckdb", tags={"tier": "gold", "pii": ""}, owners=("ann",)),
        defined("by_weather", ["delays", "weather"], kind="duckdb", tags={"tier": "gold one"}),
        defined("report", ["by_weather"], kind="parquet", owners=("team:ops", "ann")),
    ]
}


def stale(name: str) -> bool:
    return name in ("delays", "weather")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("delays", "delays"),
        ("*", "airlines flights delays weather by_weather report"),
        ("+delays", "airlines flights delays"),
        ("delays+", "delays by_weather report"),
        ("delays+1", "delays by_weather"),
        ("1+by_weather", "delays weather by_weather"),
        ("0+by_weather", "by_weather"),
        ("+delays+", "airlines flights delays by_weather report"),
        ("1+delays+1", "airlines flights delays by_weather"),
        ("tag:tier", "airlines flights delays by_weather"),
        ("tag:tier=gold", "flights delays"),
        ('tag:tier="gold one"', "by_weather"),
        ("tag:pii=", "delays"),
        ("tag:nothing", ""),
        ("owner:team:ops", "flights report"),
        ("kind:csv", "airlines weather"),
        ("group:raw", "flights"),
        ("group:r*", "flights"),
        ("stale()", "delays weather"),
        ("stale()+ and not stale()", "by_weather report"),
        ("not kind:duckdb", "airlines flights weather report"),
        ("not not delays", "delays"),
        ("+kind:duckdb", "airlines flights delays weather by_weather"),
        ("(weather or flights)+1", "flights delays weather by_weather"),
        ("weather or flights and kind:csv", "weather"),
        ("(weather or flights) and kind:csv", "weather"),
        ("not weather and not flights", "airlines delays by_weather report"),
        ("not (weather or flights) and not report", "airlines delays by_weather"),
        ("'delays'", "delays"),
        ("  ( delays )  ", "delays"),
    ],
)
def test_what_selections_mean(expression: str, expected: str) -> None:
    assert " ".join(select(expression, FLIGHTS, stale=stale)) == expected


@pytest.mark.parametrize(
    ("expression", "message", "character"),
    [
        ("", "the selection is empty", None),
        ("   ", "the selection is empty", None),
        ("delays flights", "'flights' stands where 'and', 'or' or the end should", 8),
        ("delays and", "the end stands where an asset's name should", 11),
        ("and delays", "'and' stands where an asset's name should", 1),
        ("not", "the end stands where an asset's name should", 4),
        ("(delays", "a parenthesis is not closed", 1),
        ("(delays flights)", "'flights' stands where 'and', 'or' or '\\)' should", 9),
        ("delays)", "'\\)' stands where", 7),
        ("()", "'\\)' stands where", 2),
        ("delays + flights", "a '\\+' touches no name", 8),
        ("+ delays", "a '\\+' touches no name", 1),
        ("+", "a '\\+' touches no name", 1),
        ("++delays", "'\\+' stands where", 2),
        ("delays++", "'\\+' stands where", 8),
        ("'delays", "a quotation mark is not closed", 1),
        ("tag:", "tag: names nothing", 1),
        ("owner:", "owner: names nothing", 1),
        ("delays or kind:", "kind: names nothing", 11),
        ("stale(", "stands where '\\)', as stale\\(\\) takes nothing should", 7),
        ("fresh()", "there is no fresh\\(\\) in selections", 1),
        ("(" * 10_000, "nests more than 50 deep", 52),
        ("not " * 10_000, "nests more than 50 deep", 205),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(expression: str, message: str, character: int | None) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        select(expression, FLIGHTS)
    assert caught.value.where == (None if character is None else f"the selection, character {character}")
    assert caught.value.hint
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2", "2"),
        ("2+", "2 mid end"),
        ("(2+) and mid", "mid"),
        ("2+end", "2 mid end"),
        ("'2'+1", "2 mid"),
    ],
)
def test_an_asset_whose_name_is_a_number(expression: str, expected: str) -> None:
    graph = {one.name: one for one in [defined("2"), defined("mid", ["2"]), defined("end", ["mid"])]}
    assert " ".join(select(expression, graph)) == expected


def test_a_partition_in_a_selection_and_a_name_with_a_space_are_told_how_to_be_written() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        select("+delays@2013-01-05", FLIGHTS)
    assert unknown.value.hint == (
        "a selection names no partitions: write 'delays'; materialize and backfill take --partition 2013-01-05"
    )
    graph = {"hour ly": defined("hour ly")}
    with pytest.raises(UsageError) as unread:
        select("hour ly", graph)
    assert unread.value.hint is not None
    assert "a name with a space stands in quotes" in unread.value.hint
    assert select('"hour ly"', graph) == ("hour ly",)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        select("flights or +dealys", FLIGHTS)
    assert caught.value.message == "there is no asset 'dealys'"
    assert caught.value.where == "the selection, character 13"
    assert caught.value.hint == "did you mean 'delays'?"


def test_misspelt_stale_is_answered() -> None:
    with pytest.raises(UsageError, match=r"did you mean stale\(\)\?"):
        select("stael()", FLIGHTS)


def test_stale_needs_somebody_who_knows() -> None:
    with pytest.raises(UsageError, match=r"stale\(\) can't be answered here"):
        select("stale()", FLIGHTS)


HOSTILE_NAMES = sorted(
    {
        *HOSTILE,
        "and",
        "or",
        "not",
        "12",
        "a+b",
        "+a",
        "a b",
        "*",
        "()",
        "tag:x",
        "owner:y",
        "a\\b",
        "'\"",
        "\\",
        "ümlaut",
    }
    - {""}
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_of_any_letters_can_be_written_in_quotes(name: str) -> None:
    graph = {"below": defined("below", [name]), name: defined(name)}
    assert select(quoted(name), graph) == (name,)
    assert select(f"{quoted(name)}+1", graph) == (name, "below")
    assert select(f"not ({quoted(name)})", graph) == ("below",)


@given(st.text(min_size=1, max_size=8))
def test_any_name_can_be_written_in_quotes(name: str) -> None:
    assert select(f"+{quoted(name)}", {name: defined(name)}) == (name,)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_that_are_unknown_give_one_clear_error(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        select(quoted(name), FLIGHTS)
    text = str(caught.value)
    assert len(text) < 300
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.count("\n") == 2


pieces = st.sampled_from(
    [
        "delays",
        "+",
        "*",
        "(",
        ")",
        " ",
        " and ",
        " or ",
        "not ",
        "'",
        '"',
        "\\",
        "tag:",
        "=",
        "2",
        "stale()",
        "kind:csv",
        "é",
    ]
)


@given(st.lists(pieces, max_size=14).map("".join) | st.text(max_size=20))
@example("\x00")
@tried_on(100)
def test_any_text_means_something_or_is_refused(expression: str) -> None:
    try:
        found = select(expression, FLIGHTS, stale=stale)
    except UsageError:
        return
    assert set(found) <= set(FLIGHTS)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, AssetDefinition]:
    """Graphs of up to eight assets; the order of their names says nothing of the order of the graph."""
    names = draw(st.permutations(["a", "b", "c", "d", "e", "f", "g", "h"]).map(lambda found: found[:6]))
    graph = {}
    for place, name in enumerate(names):
        inputs = draw(st.sets(st.sampled_from([*names[:place], "elsewhere"]), max_size=3))
        tags = draw(st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["v", "w"]), max_size=2))
        graph[name] = defined(name, sorted(inputs), tags=tags, kind=draw(st.sampled_from(["csv", "parquet"])))
    return graph


def steps(graph: Graph, start: set[str], *, up: bool, depth: int) -> set[str]:
    """What is within so many steps, found the slow way."""
    found = set(start)
    for _ in range(depth):
        for name, definition in graph.items():
            for one in definition.inputs:
                if one.asset in graph:
                    here, there = (name, one.asset) if up else (one.asset, name)
                    if here in start:
                        found.add(there)
        start = set(found)
    return found


def meanings(graph: Graph) -> st.SearchStrategy[tuple[str, set[str]]]:
    """Selections over a graph, each with the names that it must give."""
    leaves = [(name, {name}) for name in graph] + [
        ("*", set(graph)),
        ("stale()", {name for name in graph if name < "d"}),
    ]
    leaves += [(f"tag:{key}", {name for name, one in graph.items() if key in one.tags}) for key in "kl"]
    leaves += [(f"tag:{key}=v", {name for name, one in graph.items() if one.tags.get(key) == "v"}) for key in "kl"]
    leaves += [("kind:csv", {name for name, one in graph.items() if one.ref.kind == "csv"})]

    def wider(inner: st.SearchStrategy[tuple[str, set[str]]]) -> st.SearchStrategy[tuple[str, set[str]]]:
        depths = st.integers(0, 7)
        return st.one_of(
            st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} and {two[1][0]})", two[0][1] & two[1][1])),
            st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} or {two[1][0]})", two[0][1] | two[1][1])),
            inner.map(lambda one: (f"(not {one[0]})", set(graph) - one[1])),
            inner.map(lambda one: (f"(+({one[0]}))", steps(graph, one[1], up=True, depth=9))),
            inner.map(lambda one: (f"(({one[0]})+)", steps(graph, one[1], up=False, depth=9))),
            st.tuples(inner, depths).map(
                lambda two: (f"({two[1]}+({two[0][0]}))", steps(graph, two[0][1], up=True, depth=two[1]))
            ),
            st.tuples(inner, depths).map(
                lambda two: (f"(({two[0][0]})+{two[1]})", steps(graph, two[0][1], up=False, depth=two[1]))
            ),
        )

    return st.recursive(st.sampled_from(leaves), wider, max_leaves=6)


@given(graphs(), st.data())
@tried_on(25)
def test_selections_on_random_graphs(graph: Graph, data: st.DataObject) -> None:
    expression, expected = data.draw(meanings(graph))
    found = select(expression, graph, stale=lambda name: name < "d")
    assert set(found) == expected
    assert list(found) == [name for name in topological(graph) if name in expected]


@given(graphs())
@tried_on(30)
def test_inputs_come_before_what_reads_them(graph: dict[str, AssetDefinition]) -> None:
    order = topological(graph)
    assert sorted(order) == sorted(graph)
    for name, definition in graph.items():
        for one in definition.inputs:
            assert one.asset not in graph or order.index(one.asset) < order.index(name)
    assert topological({name: graph[name] for name in reversed(graph)}) == order


@given(graphs(), st.data())
@tried_on(30)
def test_a_circle_is_named(graph: Graph, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(sorted(graph)))
    others = sorted(steps(graph, {start}, up=True, depth=9) - {start})
    assume(others)
    end = data.draw(st.sampled_from(others))
    inputs = [one.asset for one in graph[end].inputs]
    circular = {**graph, end: defined(end, [*inputs, start])}
    with pytest.raises(DefinitionError, match="in a circle") as caught:
        topological(circular)
    circle = caught.value.message.partition(": ")[2].split(" <- ")
    assert circle[0] == circle[-1]
    assert len(set(circle)) == len(circle) - 1
    for name, source in pairwise(circle):
        assert source in [one.asset for one in circular[name].inputs]


def test_an_asset_that_reads_its_own_earlier_partitions_is_no_circle() -> None:
    graph = {one.name: one for one in [defined("sums", ["flights", "sums"]), defined("flights")]}
    assert topological(graph) == ("flights", "sums")
    assert select("1+sums", graph) == ("flights", "sums")


BY_DAY = DailyPartitions("2024-01-01")
BY_REGION = ProductPartitions(region=StaticPartitions(["eu", "us"]), date=BY_DAY)


@pytest.mark.parametrize(
    ("days", "now"), [(BY_DAY, SameMapping()), (BY_REGION, SameMapping()), (BY_REGION, WindowMapping(-1, 0))]
)
def test_assets_that_read_the_past_of_each_other_are_no_circle(
    days: PartitionsDefinition, now: PartitionMapping
) -> None:
    graph = {name: defined(name, ["b" if name == "a" else "a"], partitions=days) for name in ("a", "b", "after")}
    for name, mapping in (("a", WindowMapping(-1, -1)), ("b", now)):
        used = graph[name].inputs[0]._replace(mapping=mapping_of(mapping, days, days))
        graph[name] = replace(graph[name], inputs=(used,))
    assert topological(graph) == ("a", "after", "b")
    assert in_turns(graph) == (("a", "b"), ("after",))
    assert select("+b", graph) == ("a", "b")


def test_long_chains_need_no_recursion() -> None:
    chain = {f"n{at:05}": defined(f"n{at:05}", [f"n{at - 1:05}"] if at else []) for at in range(5000)}
    assert select("+n04999", chain) == tuple(sorted(chain))
    assert select(" or ".join(["n00000"] * 5000), chain) == ("n00000",)


def test_many_stars_in_a_name_take_no_time() -> None:
    alike = "a" * 240
    assert select("*a" * 30 + "*b", {alike: defined(alike)}) == ()
    assert select("a*" * 30 + "*a", {alike: defined(alike)}) == (alike,)
