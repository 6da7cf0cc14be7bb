"""`run_checks`: the checks of an asset on the version that is in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.assets import registry, runtime
from headwater.assets.asset import Asset, as_asset
from headwater.assets.checks.audit import audit
from headwater.assets.checks.subjects import of_published
from headwater.assets.events import AssetChecked, CheckResult
from headwater.assets.observing import given_partition
from headwater.core import context as core_context
from headwater.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from headwater.assets.partitions import Partition


def run_checks(asset: Asset | str, *, partition: Partition | str | date | None = None) -> tuple[CheckResult, ...]:
    """Run the checks of an asset on what is in place now, and record what they say. Nothing is changed or refused.

    Raises LocationError when there is no data, PartitionError for a partition that does not fit, UsageError when the asset
    has no checks.

    >>> from headwater import Asset, materialize
    >>> from headwater.checks import row_count, run_checks
    >>> from headwater.testing import project
    >>> with project():
    ...     @materialize(Asset("rates", at="memory://rates", checks=[row_count(min=2)]))
    ...     def rates():
    ...         return {"rate": [1.5]}
    ...     _ = rates()
    ...     [(one.name, one.passed, one.message) for one in run_checks("memory://rates")]
    [('row_count', False, '1 row, at least 2 must be there')]
    """
    found = as_asset(asset, where="run_checks(…)")
    run = runtime.current()
    checks = registry.current().checks_of(found.name)
    if not checks:
        raise UsageError(f"the asset '{found.name}' has no checks", hint="give it some: Asset(…, checks=[not_null(…)])")
    part = given_partition(found, partition)
    context = of_published(run, found, part)
    results = audit(context, checks)
    around = core_context.current()
    run.journal.append(
        *run.definitions.new([found]),
        AssetChecked(
            run_id=around.run_id if around else None,
            task_run_id=around.task_run_id if around else None,
            project=run.project,
            asset=run.definitions.ref(found),
            partition=context.key,
            version=context.version,
            checks=results,
        ),
    )
    return results
