"""How Headwater's runs and jobs are called in OpenLineage."""

from __future__ import annotations

import os
from collections.abc import Mapping

from headwater import ids


def job_namespace(configured: str, environ: Mapping[str, str] | None = None) -> str:
    """The namespace of all jobs: what is configured, else `OPENLINEAGE_NAMESPACE`, else empty: each event's project.

    >>> job_namespace("", {"OPENLINEAGE_NAMESPACE": "prod"})
    'prod'
    """
    return configured or (os.environ if environ is None else environ).get("OPENLINEAGE_NAMESPACE", "")


def job_name(flow: str, task: str | None = None) -> str:
    """The job of a flow, or of a materialization in it.

    >>> job_name("nightly"), job_name("nightly", "summarise")
    ('nightly', 'nightly.summarise')
    """
    return flow if task is None else f"{flow}.{task}"


def run_id(run: str, attempt: int = 1) -> str:
    """The OpenLineage run of one attempt: each has its own, since a run there starts once and ends once.

    >>> run_id("0199aa00-0000-7000-8000-000000000001")
    '0199aa00-0000-7000-8000-000000000001'
    >>> run_id("0199aa00-0000-7000-8000-000000000001", 2) == ids.derived_id("0199aa00-0000-7000-8000-000000000001", 2)
    True
    """
    return run if attempt == 1 else ids.derived_id(run, attempt)
