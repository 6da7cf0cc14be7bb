"""What is built without the garbage collector is not looked through right after it either."""

import gc

from headwater.assets.uncollected import uncollected


def test_what_was_built_without_the_collector_is_not_looked_through_at_once():
    with uncollected():
        assert not gc.isenabled()
        built = [[] for _ in range(5_000)]
    assert gc.isenabled()
    assert not any(one is built for one in gc.get_objects(generation=0))
    assert any(one is built for one in gc.get_objects())


def test_what_somebody_froze_stays_frozen():
    kept: list[object] = [[]]
    gc.freeze()
    try:
        with uncollected():
            pass
        # Some of the rest may end meanwhile, in another thread: that is not counted.
        assert not any(one is kept for one in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(one is kept for one in gc.get_objects())
