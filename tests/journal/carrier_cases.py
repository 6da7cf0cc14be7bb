"""The tests for carriers, with one in memory: the one that is shipped, or one that does something badly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from headwater.core.journal.carrier import Carrier
from headwater.testing import MemoryCarrier
from headwater.testing.carriers import CarrierSuite, Process, Session


class MemorySuite(CarrierSuite):
    cls: ClassVar[type[MemoryCarrier]] = MemoryCarrier

    @contextmanager
    def carrier(self) -> Iterator[Carrier]:
        yield self.cls()

    @contextmanager
    def process(self, carrier: Carrier) -> Iterator[Process]:
        assert isinstance(carrier, MemoryCarrier)
        beside = carrier.process()
        yield Session(beside, pid=os.getpid(), end=beside.kill)
        beside.kill()
