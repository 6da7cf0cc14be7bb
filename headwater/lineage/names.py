"""What datasets and columns are called in answers: by their asset's name, and unambiguously so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Dataset: TypeAlias = tuple[str, str]
"""Namespace and dataset: what facts are keyed by."""


def column_id(asset: str, column: str) -> str:
    """The id of a column: `asset.column`, either part in double quotes where it holds a dot or a quote.

    >>> column_id("delays", "day"), column_id("delays", "a.b"), column_id("shop.orders", "id")
    ('delays.day', 'delays."a.b"', '"shop.orders".id')
    """
    return f"{_quoted(asset)}.{_quoted(column)}"


def split_column_id(text: str) -> tuple[str, str] | None:
    """Asset and column of a column's id; None when the text is none.

    >>> split_column_id('delays."a.b"'), split_column_id("delays."), split_column_id("delays")
    (('delays', 'a.b'), ('delays', ''), None)
    """
    parts: list[str] = []
    rest: str | None = text
    while rest is not None:
        part, rest = _first(rest)
        parts.append(part)
    return (parts[0], parts[1]) if len(parts) == 2 else None


def dataset_ids(
    datasets: Iterable[Dataset], names: Mapping[Dataset, str], root: Dataset | None = None
) -> dict[Dataset, str]:
    """An id for each dataset: its asset's name, or namespace and dataset where the name is taken (by the root first).

    >>> dataset_ids([("f", "/dev/a"), ("f", "/prod/a")], {("f", "/dev/a"): "a", ("f", "/prod/a"): "a"})
    {('f', '/dev/a'): 'a', ('f', '/prod/a'): 'f /prod/a'}
    """
    ids: dict[Dataset, str] = {}
    taken: set[str] = set()
    for dataset in sorted(set(datasets), key=lambda one: (one != root, one)):
        name = names.get(dataset, dataset[1])
        ids[dataset] = name if name not in taken else " ".join(dataset)
        taken.add(ids[dataset])
    return ids


def keys_of(datasets: Iterable[Dataset]) -> dict[str, list[str]]:
    """Datasets as parameters of a statement, which takes them as two lists.

    >>> keys_of([("f", "/a"), ("f", "/b")])
    {'namespaces': ['f', 'f'], 'datasets': ['/a', '/b']}
    """
    places = list(datasets)
    return {"namespaces": [one[0] for one in places], "datasets": [one[1] for one in places]}


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part


def _first(text: str) -> tuple[str, str | None]:
    if not text.startswith('"'):
        part, dot, rest = text.partition(".")
        return part, rest if dot else None
    end = 1
    while end < len(text):
        if text[end] == '"':
            if text[end + 1 : end + 2] != '"':
                break
            end += 1
        end += 1
    return text[1:end].replace('""', '"'), text[end + 2 :] if text[end + 1 :] else None
