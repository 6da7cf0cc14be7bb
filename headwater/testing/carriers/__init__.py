"""What every carrier of the journal must do, as tests that pytest runs; see `CarrierSuite`."""

from __future__ import annotations

from headwater.testing.carriers.deaths import DeathTests
from headwater.testing.carriers.events import EventTests
from headwater.testing.carriers.locks import LockTests
from headwater.testing.carriers.process import Process, Session

__all__ = ["CarrierSuite", "Process", "Session"]


class CarrierSuite(EventTests, DeathTests, LockTests):
    """Tests of a carrier: subclass it in a test module, say how to come by a carrier and another process, and run pytest.

    >>> import os
    >>> from contextlib import contextmanager
    >>> from headwater.testing import MemoryCarrier
    >>> class TestMine(CarrierSuite):
    ...     @contextmanager
    ...     def carrier(self):
    ...         yield MemoryCarrier()
    ...
    ...     @contextmanager
    ...     def process(self, carrier):
    ...         beside = carrier.process()
    ...         yield Session(beside, pid=os.getpid(), end=beside.kill)
    >>> TestMine().test_a_killed_process_frees_its_locks()
    """
