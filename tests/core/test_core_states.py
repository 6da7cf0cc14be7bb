from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.core.states import PRECEDENCE, TERMINAL, State, final_state

states = st.lists(st.sampled_from(list(State)), min_size=1, max_size=8)


@given(states, st.randoms(use_true_random=False))
def test_the_final_state_does_not_depend_on_order_or_repetition(found: list[State], random: object) -> None:
    shuffled = [*found, *found]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert final_state(shuffled) == final_state(found)
    assert final_state([state.value for state in found]) == final_state(found)


@given(states, states)
def test_the_final_state_of_parts_is_that_of_the_whole(first: list[State], second: list[State]) -> None:
    assert final_state([final_state(first), final_state(second)]) == final_state([*first, *second])


@given(states)
def test_a_terminal_state_beats_every_other(found: list[State]) -> None:
    if TERMINAL & set(found):
        assert final_state(found) in TERMINAL


def test_crashed_is_only_believed_when_nothing_else_was_said() -> None:
    assert all(final_state([State.CRASHED, other]) is other for other in PRECEDENCE)
    assert final_state(["Crashed", "Running"]) is State.CRASHED
    with pytest.raises(ValueError, match="empty"):
        final_state([])


def test_every_state_has_its_pascal_case_value() -> None:
    assert all(state.value == state.name.title().replace("_", "") for state in State)
