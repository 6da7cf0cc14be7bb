"""The line of those who wait for a lock, against a list: every order of coming, looking, leaving and dying."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tried import tried_on

from headwater.core.journal import descriptors
from headwater.core.journal.waiting import PATIENCE, Line, Place, pause

STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "come", "look", "leave", "die", "expel", "ask"]), st.integers(0, 7)), max_size=40
)


def die(place: Place) -> None:
    """What a SIGKILL leaves: the file, and nobody who has it locked."""
    descriptors.close_descriptor(place._descriptor)
    place.forget()


@tried_on(30)
@given(STEPS)
def test_the_first_who_lives_is_first(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = Line(f"{folder}/it.line")
        waiting: list[Place] = []
        expelled: list[Place] = []
        for step, which in steps:
            everybody = waiting + expelled
            if step == "come":
                waiting.append(line.join())
                waiting[-1].ahead()
            elif step == "ask":
                assert line.is_empty() == (not waiting)
            elif step == "expel" and waiting:
                place = waiting.pop(0)
                line.file(place._number).unlink()
                expelled.append(place)
            elif everybody:
                place = everybody[which % len(everybody)]
                if step == "look":
                    ahead = place.ahead()
                    if place in expelled:
                        expelled.remove(place)
                        waiting.append(place)
                    assert (len(ahead) == 0) == (waiting[0] is place)
                    assert len(ahead) >= waiting.index(place)  # some of them may be dead
                else:
                    die(place) if step == "die" else place.leave()
                    (waiting if place in waiting else expelled).remove(place)
        for place in waiting:
            assert len(place.ahead()) == 0
            place.leave()
        for place in expelled:
            place.leave()
        assert line.is_empty()
        assert list(Path(folder).iterdir()) == []


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_pauses_are_short_in_front_and_never_long(ahead: int, looks: int) -> None:
    assert 0.001 <= pause(ahead, looks) <= 1
    assert pause(ahead, looks) <= pause(ahead + 1, looks)
    assert pause(0, looks) <= 0.02
    # A turn takes at least as long as the one in front sleeps at most: nobody sleeps through the own one.
    assert pause(ahead, 0) <= 0.01 * max(1, ahead)


def test_who_leaves_a_free_lock_untaken_loses_the_place_and_comes_back_at_the_end(tmp_path: Path) -> None:
    line = Line(f"{tmp_path}/it.line")
    with line.join() as stopped, line.join() as other:
        assert (len(stopped.ahead()), len(other.ahead())) == (0, 1)
        for waited in (0, PATIENCE / 2, PATIENCE):
            other.pass_over(other.ahead(), lambda: True, waited)
        assert len(other.ahead()) == 1
        other.pass_over(other.ahead(), lambda: False, 2 * PATIENCE)
        other.pass_over(other.ahead(), lambda: True, 3 * PATIENCE)
        assert len(other.ahead()) == 1
        other.pass_over(other.ahead(), lambda: True, 3.5 * PATIENCE)
        assert len(other.ahead()) == 1
        other.pass_over(other.ahead(), lambda: True, 4 * PATIENCE)
        assert len(other.ahead()) == 0
        assert len(stopped.ahead()) == 1


def test_a_place_that_somebody_took_for_dead_before_it_was_locked_is_taken_again(tmp_path: Path) -> None:
    line = Line(f"{tmp_path}/it.line")
    real, seen = descriptors.try_lock, []

    def looked_at(descriptor: int, *operation: int) -> bool:
        if not seen:
            seen.append(descriptor)
            assert not line.lives(0)
        return real(descriptor, *operation)

    descriptors.try_lock = looked_at  # type: ignore[assignment]
    try:
        with line.join() as place:
            assert len(place.ahead()) == 0
            assert [path.name for path in Path(line.path).iterdir()] == ["1"]
    finally:
        descriptors.try_lock = real


def test_what_others_left_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    line = Line(f"{tmp_path}/it.line")
    with line.join() as place:
        assert list(place.ahead()) == []
        for name in ("notes", "-1", "٣", "007"):
            (Path(line.path) / name).touch()
        with line.join() as other:
            assert len(other.ahead()) >= 1
    assert line.is_empty()
    assert sorted(path.name for path in Path(line.path).iterdir()) == sorted(("notes", "-1", "٣", "007"))
