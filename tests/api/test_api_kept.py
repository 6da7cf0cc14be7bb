"""What is kept: made anew when something new has come; what takes long by somebody else, while the last one is given out."""

import pytest

from headwater import clock
from headwater.api.kept import PATIENCE, Kept, Shelf


class Slow:
    """A clock that stands still, but while something is made."""

    def __init__(self) -> None:
        self.at = 0
        self.made = 0
        self.takes = 2_000_000

    def make(self) -> int:
        self.at += self.takes
        self.made += 1
        return self.made


def test_what_is_kept_is_made_anew_for_another_key() -> None:
    slow, kept = Slow(), Kept[int]()
    assert [kept.get(key, slow.make) for key in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 3]


def test_who_is_patient_gets_the_last_one_until_it_is_time() -> None:

    slow, shelf = Slow(), Shelf()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "machine_us", lambda: slow.at)
        assert shelf.get("a", 1, slow.make, patient=True) == 1
        assert shelf.get("a", 2, slow.make, patient=True) == 1
        shelf.renew()
        assert slow.made == 1  # it took two seconds, and has only just been made
        slow.at += 2_000_000 * PATIENCE + 1
        assert shelf.get("a", 2, slow.make, patient=True) == 1
        shelf.renew()
        assert (slow.made, shelf.get("a", 2, slow.make, patient=True)) == (2, 2)
        slow.at += 10**9
        shelf.renew()
        assert slow.made == 2  # nobody has asked for anything else
        assert shelf.get("a", 3, slow.make) == 3


def test_what_is_made_quickly_is_not_given_out_when_nobody_has_asked_for_long() -> None:
    slow, kept = Slow(), Kept[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "machine_us", lambda: slow.at)
        slow.takes = 500_000
        assert kept.get(1, slow.make, patient=True) == 1
        slow.at += 8_000_000
        assert kept.get(2, slow.make, patient=True) == 1
        slow.at += 3_000_000
        assert kept.get(2, slow.make, patient=True) == 2
        slow.takes = 2_000_000
        assert kept.get(3, slow.make) == 3
        slow.at += 10**12
        assert kept.get(4, slow.make, patient=True) == 3  # who looks at the pages would wait for seconds
