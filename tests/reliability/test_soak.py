"""A long flow does not grow. The full form is `make soak`."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import soak
from benchmarks.soak import Held, findings


def held(number: int, **changes: float) -> Held:
    flat = {"mb": 80.0 + number % 2, "files": 8, "threads": 5, "journal_mb": float(number)}
    return Held(tasks=1_000 * number, seconds=float(number), **{**flat, **changes})


def test_a_long_flow_does_not_grow(stress: bool) -> None:
    seconds, rate = (1_800.0, 100.0) if stress else (3.0, 0.0)
    samples = list(soak.soak(seconds, rate, seconds / 30))
    print(f"soak: {samples[-1]}; memory {soak.slope(samples[len(samples) // 4 :]):+.2f} MB in 10,000 tasks")
    assert findings(samples) == []
    assert samples[-1].tasks >= 100
    assert samples[-1].journal_mb > samples[0].journal_mb


@pytest.mark.parametrize(
    ("name", "growth", "found"),
    [
        ("mb", 0.05, []),
        ("mb", 0.5, ["memory grew"]),
        ("files", 0.3, ["files grew"]),
        ("threads", 1.0, ["threads grew"]),
    ],
)
def test_what_grows_is_found(name: str, growth: float, found: list[str]) -> None:
    samples = [held(number) for number in range(40)]
    grown = [
        dataclasses.replace(one, **{name: getattr(one, name) + growth * number}) for number, one in enumerate(samples)
    ]
    assert findings(samples) == []
    assert [" ".join(text.split()[:2]) for text in findings(grown)] == found


def test_too_few_samples_say_nothing() -> None:
    assert findings([held(1), held(2)]) == ["only 2 samples, which say nothing"]
