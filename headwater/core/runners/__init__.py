"""Runners: where submitted tasks run. In threads of this process, in other processes, here and at once, or elsewhere."""

from __future__ import annotations

from headwater.core.runners.threads import ThreadPool, waiting

__all__ = ["ThreadPool", "waiting"]
