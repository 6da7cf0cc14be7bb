"""Laws of combining kinds and traces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.lineage.columns.algebra import (
    AGGREGATION,
    CONDITIONAL,
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    SORT,
    TRANSFORMATION,
    WINDOW,
    Kind,
    Trace,
    combine,
    merge,
)

KINDS = (IDENTITY, TRANSFORMATION, AGGREGATION, JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL)
kinds = st.sampled_from(KINDS)
traces = st.builds(
    Trace,
    edges=st.frozensets(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), kinds), max_size=4),
    unknown=st.frozensets(st.sampled_from(["one", "two"])),
)


@given(kinds, kinds, kinds)
def test_steps_can_be_combined_in_any_grouping(outer: Kind, middle: Kind, inner: Kind) -> None:
    assert combine(outer, combine(middle, inner)) == combine(combine(outer, middle), inner)


@given(kinds)
def test_identity_changes_nothing(kind: Kind) -> None:
    assert combine(IDENTITY, kind) == combine(kind, IDENTITY) == kind


@given(kinds, kinds)
def test_a_way_is_direct_only_if_every_step_is(outer: Kind, inner: Kind) -> None:
    assert (combine(outer, inner)[0] == "DIRECT") == (outer[0] == inner[0] == "DIRECT")


@given(traces, traces, kinds)
def test_a_step_goes_over_each_part(one: Trace, other: Trace, kind: Kind) -> None:
    assert merge([one, other]).through(kind) == merge([one.through(kind), other.through(kind)])


@given(traces, kinds)
def test_nothing_unknown_gets_lost(trace: Trace, kind: Kind) -> None:
    assert trace.through(kind).unknown == trace.unknown
    assert {edge[:2] for edge in trace.through(kind).edges} == {edge[:2] for edge in trace.edges}
