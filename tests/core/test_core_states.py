from __future__ import annotations

from headwater.core.states import PRECEDENCE, State


def test_crashed_is_only_believed_when_nothing_else_was_said() -> None:
    assert PRECEDENCE[-1] is State.CRASHED


def test_every_state_has_its_pascal_case_value() -> None:
    assert all(state.value == state.name.title().replace("_", "") for state in State)
