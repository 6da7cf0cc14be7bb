"""C3: freshness and staleness against brute force: small worlds of all that can happen, held to the rules as they are written.

A case is one answer: how far a partition reaches, the verdict on an asset at a moment, whether a partition is stale. The quick
form takes a few worlds; the full one (HEADWATER_STRESS=1) goes on until 100,000 cases were equal, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asset_worlds import DAY, World
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from recorded_worlds import RecordedWorld, empty_projection
from test_freshness_oracle import START, clock_oracle, moments, oracle, verdict_oracle, worlds
from test_freshness_verdicts import policies
from test_staleness_oracle import AS_OF
from test_staleness_oracle import oracle as stale_oracle
from test_staleness_oracle import worlds as stale_worlds

from headwater.assets.facts import Facts
from headwater.assets.freshness import board, partition_data_through, standing
from headwater.assets.staleness import staleness

MOMENTS = st.lists(moments, min_size=4, max_size=4)
YEARS = 4_000 * DAY


def count(check: Callable[..., int], *given_by: Any, quick: int, cases: int) -> int:
    """How many cases `check` found equal: those of so many worlds, or of as many as it takes to reach `cases`."""
    total = 0
    while True:
        phases = (
            (Phase.generate, Phase.shrink) if cases else (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
        )

        @settings(max_examples=quick, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))
        @given(st.tuples(*given_by))
        def run(drawn: tuple[Any, ...]) -> None:
            nonlocal total
            total += check(*drawn)

        run()
        if total >= cases:
            return total


def fresh(world: World, times: list[int]) -> int:
    """Ends, clocks and verdicts; a verdict flips at the moment that was announced, not before, and not at all without one."""
    facts, cases = world.facts(), 0
    for name in facts.definitions:
        for key in {*facts.of(name).made, *facts.of(name).observed}:
            found = partition_data_through(facts, name, key)
            assert (found.end, found.basis) == oracle(facts, name, key)
            cases += 1
    for as_of in times:
        for name, found in board(facts, as_of).items():
            assert (found.clock, found.clock_value) == clock_oracle(facts, name)
            assert found.verdict == verdict_oracle(facts, name, as_of)
            if found.next_change is None:
                assert verdict_oracle(facts, name, as_of + YEARS) == found.verdict
            else:
                assert verdict_oracle(facts, name, found.next_change - 1) == found.verdict
                assert verdict_oracle(facts, name, found.next_change) != found.verdict
            cases += 1
    return cases


def ends(facts: Facts) -> dict[tuple[str, str | None], int | None]:
    """How far each partition reaches of which anything is known."""
    return {
        (name, key): partition_data_through(facts, name, key).end
        for name, known in facts.assets.items()
        for key in {*known.made, *known.observed}
    }


def stale(world: World) -> int:
    """Every partition of every asset, and the kinds of reasons."""
    facts, cases = world.facts(), 0
    expected = stale_oracle(facts)
    for name, found in staleness(facts, AS_OF).items():
        assert set(found.stale.keys()) == set(expected[name])
        assert set(found.missing.keys()) == {key for key, kinds in expected[name].items() if "never_made" in kinds}
        assert {cause.kind for cause in found.causes} == set().union(*expected[name].values())
        cases += len({*expected[name], *facts.of(name).made})
    return cases


def test_c3_freshness_is_what_the_rules_say(stress: bool) -> None:
    cases = count(fresh, worlds(policies), MOMENTS, quick=500 if stress else 40, cases=100_000 if stress else 0)
    print(f"C3: {cases:,} cases of freshness, all equal to the oracle; verdicts flipped at the announced moments only")
    assert cases > 200


def test_c3_staleness_is_what_the_rules_say(stress: bool) -> None:
    cases = count(stale, stale_worlds(), quick=500 if stress else 40, cases=100_000 if stress else 0)
    print(f"C3: {cases:,} cases of staleness, all equal to the oracle")
    assert cases > 200


def test_c3_the_projection_says_the_same(stress: bool) -> None:
    with empty_projection() as connection:

        def recorded(world: RecordedWorld, as_of: int, loaded: bool) -> int:
            catalog = world.catalog(connection, loaded=loaded)
            facts = catalog.facts()
            judged = {name: standing(one) for name, one in board(facts, as_of).items() if name in facts.definitions}
            assert catalog.verdicts(as_of) == judged
            assert ends(facts) == ends(world.facts())
            by_rules = staleness(type(facts)(definitions=facts.definitions, assets=dict(facts.assets)), START + 5 * DAY)
            found = catalog.staleness(START + 5 * DAY)
            assert {name: one[:4] for name, one in found.items()} == {name: one[:4] for name, one in by_rules.items()}
            return 2 * len(judged)

        given_by = (worlds(policies, RecordedWorld), moments, st.booleans())
        cases = count(recorded, *given_by, quick=100 if stress else 6, cases=1_000 if stress else 0)
    print(f"C3: {cases:,} verdicts and stalenesses out of the projection, all equal to those of the rules")
    assert cases > 10
