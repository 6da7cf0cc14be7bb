"""What is staged and waits for the commit of a transaction; outside of one it is published at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headwater.assets import runtime, writing
from headwater.assets.writing import Output
from headwater.records import dataclass

if TYPE_CHECKING:
    from headwater.core.transactions import Transaction
    from headwater.types import ErrorInfo


@dataclass(slots=True, eq=False)
class Publication:
    """One version of one partition that a transaction publishes at its commit, or drops; or that an output was left out."""

    run: runtime.AssetRuntime
    output: Output

    @property
    def name(self) -> str:
        """The asset, with its partition."""
        partition = self.output.started.partition
        return self.output.asset.name + (f"@{partition}" if partition is not None else "")

    @property
    def key(self) -> tuple[str, str, str | None] | None:
        """The dataset, and the partition of it; None for what was left out: what is in place can be read."""
        if self.output.staged is None:
            return None
        ref = self.output.target.asset
        return ref.namespace, ref.dataset, self.output.started.partition

    @property
    def task_run_id(self) -> str:
        """The task run that made it."""
        return self.output.started.task_run_id

    @property
    def published(self) -> bool:
        """Whether its outcome is that it was published."""
        return self.output.state == "published"

    def publish(self) -> None:
        """Publish it; one that has its outcome, because its call failed after all, is left as it is."""
        if self.output.ended:
            return
        try:
            writing.publish(self.run, self.output)
        except BaseException as error:
            writing.end_all(self.run, [self.output], error)
            raise

    def drop(self, why: ErrorInfo) -> None:
        """Discard what was staged; the data that was in place stays."""
        writing.end(self.run, self.output, "discarded", why)


def hand_over(run: runtime.AssetRuntime, outputs: Iterable[Output], transaction: Transaction | None) -> None:
    """Publish what is staged: now, or when the transaction commits."""
    for output in outputs:
        if transaction is None or not transaction.enlist(Publication(run, output)):
            writing.publish(run, output)
