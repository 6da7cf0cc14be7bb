"""The run of another orchestrator (Airflow, dbt-ol, Spark) that started this process, as such tools tell it to what they start."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Mapping

from headwater.types import OuterRun

_log = logging.getLogger("headwater")
_PARENT, _ROOT = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"
# A namespace may be a URI; names of jobs have no slashes.
_FORM = re.compile(r"(.+)/([^/]+)/([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})", re.IGNORECASE)


def outer_run(environ: Mapping[str, str] | None = None) -> OuterRun | None:
    """What the environment says, None when it says nothing; of what can't be read a warning tells once, and no run fails.

    Without an outermost run the parent counts as that.

    >>> found = outer_run({"OPENLINEAGE_PARENT_ID": "airflow/nightly.load/0199aa00-0000-7000-8000-000000000001"})
    >>> found.namespace, found.job, found.root_job
    ('airflow', 'nightly.load', 'nightly.load')
    >>> outer_run({})
    """
    environ = os.environ if environ is None else environ
    parent = _read(_PARENT, environ.get(_PARENT, "").strip())
    if parent is None:
        return None
    root = _read(_ROOT, environ.get(_ROOT, "").strip()) or parent
    return OuterRun(
        namespace=parent[0],
        job=parent[1],
        run_id=parent[2],
        root_namespace=root[0],
        root_job=root[1],
        root_run_id=root[2],
    )


@functools.lru_cache(maxsize=16)
def _read(variable: str, said: str) -> tuple[str, ...] | None:
    found = _FORM.fullmatch(said)
    if found is None and said:
        _log.warning("%s is not namespace/name/runId with a UUID, so that it is left out: %r", variable, said)
    return None if found is None else found.groups()
