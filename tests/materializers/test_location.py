from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.assets import location
from headwater.assets.location import asset_ref, fill, parse_uri
from headwater.errors import DefinitionError

ROOT = Path("/project")

HOSTILE = [
    "",
    "parquet://",
    "parquet:///",
    "parquet://../outside",
    "parquet://lake/../../outside",
    "parquet:///data/../etc/passwd",
    "csv://..",
    "parquet://lake/a\0b",
    "parquet://lake/a\nb",
    "parquet://lake/a\x1b[31m",
    "parquet://lake/\u202eexe",
    "parquet://lake/a\u2066b",
    "parquet://lake/a\u200bb",
    "parquet://lake/a\u2028b",
    "parquet://lake/\ud800",
    "parquet://" + "a" * 10_000,
    "parquet://lake/" + "a" * 201,
    "parquet://lake/" + "ä" * 101,
    "duckdb://warehouse.duckdb",
    "duckdb:///main.t",
    "duckdb://w.duckdb/a.b.c",
    "duckdb://w.duckdb/.t",
    "duckdb://w.duckdb/main.",
    "duckdb://../w.duckdb/main.t",
    "duckdb://w.duckdb/main._headwater_versions",
    "memory://",
]

ODD_BUT_FINE = [
    "lake/o'hare",
    'lake/"quoted"',
    "lake/'; DROP TABLE t; --",
    "lake/{7*7}",
    "lake/-rf",
    "lake/a b%20c",
    "lake/\u00e9t\u00e9",
    "lake/e\u0301te\u0301",
    "lake/\U0001f600",
    "lake/a[1]*?",
    "lake/a\\b",
    "lake/a#b?c=d",
]


@pytest.mark.parametrize("uri", HOSTILE, ids=lambda uri: ascii(uri)[:40])
def test_a_location_that_can_hide_or_escape_is_refused(uri: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_uri(uri, where="asset 'x'")
    assert caught.value.where == "asset 'x'"
    assert len(str(caught.value)) < 1_000
    assert all(char.isprintable() or char == "\n" for char in str(caught.value))


@pytest.mark.parametrize("path", ODD_BUT_FINE)
def test_odd_names_are_kept_byte_for_byte(path: str) -> None:
    assert str(parse_uri(f"parquet://{path}").resolve(ROOT)) == f"/project/{path}"


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("s3://bucket/x.parquet", "supported: csv://, duckdb://, memory://, parquet://"),
        ("postgresql://host/db", "supported:"),
        ("lake/x.parquet", "write 'parquet://lake/x.parquet'"),
        ("data/x.csv", "write 'csv://data/x.csv'"),
        ("lake/x", "begin it with one of csv://"),
        ("parquet:lake", "begin it with"),
    ],
)
def test_what_is_not_supported_says_what_is(uri: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_uri(uri)
    assert hint in str(caught.value.hint)


def test_a_scheme_of_an_installed_plugin_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "_plugin_schemes", lambda: {"ftp"})
    assert parse_uri("ftp://host/a/b").path == "host/a/b"
    ref = asset_ref("x", "ftp://host/a/b", root=ROOT)
    assert (ref.kind, ref.namespace, ref.dataset) == ("ftp", "ftp://host", "a/b")


@pytest.mark.parametrize(
    ("uri", "kind", "namespace", "dataset"),
    [
        ("parquet://lake/flights", "parquet", "file", "/project/lake/flights"),
        ("parquet:///abs//./x.parquet", "parquet", "file", "/abs/x.parquet"),
        ("CSV://data/a.csv", "csv", "file", "/project/data/a.csv"),
        ("duckdb://w.duckdb/delays", "duckdb", "duckdb:///project/w.duckdb", "w.main.delays"),
        ("duckdb:///db/w.duckdb/gold.delays", "duckdb", "duckdb:///db/w.duckdb", "w.gold.delays"),
        ("memory://a/b", "memory", "memory", "a/b"),
    ],
)
def test_datasets_are_named_by_the_rules_of_openlineage(uri: str, kind: str, namespace: str, dataset: str) -> None:
    ref = asset_ref("x", uri, root=ROOT)
    assert (ref.kind, ref.namespace, ref.dataset) == (kind, namespace, dataset)


def test_placeholders_are_filled_and_the_reference_holds_no_more_of_them() -> None:
    ref = asset_ref("x", "parquet://{lake}/{{raw}}/x", root=ROOT, values={"lake": "/data/dev"})
    assert ref.uri == "parquet:///data/dev/{raw}/x"
    assert ref.dataset == "/data/dev/{raw}/x"


@pytest.mark.parametrize("uri", ["parquet://{lake}/x", "parquet://{/x", "parquet://a}/x", "parquet://{}/x"])
def test_a_placeholder_without_a_value_is_an_error(uri: str) -> None:
    with pytest.raises(DefinitionError):
        asset_ref("x", uri, root=ROOT, values={"other": "y"})


def test_a_value_cannot_lead_out_of_the_root() -> None:
    with pytest.raises(DefinitionError, match=r"'\.\.'"):
        asset_ref("x", "parquet://{lake}/x", root=ROOT, values={"lake": "../.."})


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\u202ea", "a" * 10_000])
def test_hostile_asset_names_are_refused(name: str) -> None:
    with pytest.raises(DefinitionError):
        asset_ref(name, "memory://x", root=ROOT)


@given(st.text(max_size=60))
@tried_on(100)
def test_a_path_is_refused_or_stays_below_the_root_unchanged(path: str) -> None:
    try:
        resolved = parse_uri(f"parquet://{path}").resolve(ROOT)
    except DefinitionError:
        return
    if path.startswith("/"):
        assert resolved.is_absolute()
    else:
        assert ROOT in resolved.parents
        assert str(resolved.relative_to(ROOT)) in {path, "/".join(p for p in path.split("/") if p not in ("", "."))}


@given(st.text(max_size=60))
def test_text_without_braces_is_filled_with_itself(text: str) -> None:
    text = text.replace("{", "").replace("}", "")
    assert fill(text, {}) == text
