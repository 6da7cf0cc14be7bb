"""Small worlds of assets for tests: definitions and what was made of them, written down in few words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from headwater import clock
from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import AssetFacts, Consumed, Facts, Failure, Made, Observed, Skipped
from headwater.assets.mappings import PartitionMapping, infer_mapping
from headwater.assets.partitions import DailyPartitions, partitioning

DAYS = DailyPartitions("2013-01-01", "2014-01-01")
HOUR = 3_600_000_000
DAY = 24 * HOUR


def us(text):
    return clock.to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


class World:
    def __init__(self):
        self.definitions = {}
        self.assets = {}
        self.count = 0
        self.now = us("2014-06-01")

    def source(self, name, **more):
        return self.asset(name, code=None, **more)

    def asset(self, name, *inputs, partitions=None, code="code-1", **more):
        declared = []
        for given in inputs:
            above, mapping = given if isinstance(given, tuple) else (given, None)
            if not isinstance(mapping, PartitionMapping):
                known = self.definitions.get(above)
                mapping = infer_mapping(known and known.partitions, partitions)
            declared.append(InputDefinition(parameter=above, asset=above, mapping=mapping))
        ref = AssetRef(name=name, uri=f"memory://{name}", kind="memory", namespace="memory", dataset=name)
        self.definitions[name] = AssetDefinition(
            ref=ref, partitions=partitions, code_version=code, inputs=tuple(declared), producer=f"make_{name}", **more
        )
        return self

    def together(self, *names):
        """Let one function make these assets."""
        for name in names:
            with_it = tuple(one for one in names if one != name)
            self.definitions[name] = replace(self.definitions[name], made_with=with_it)
        return self

    def facts_of(self, name):
        return self.assets.setdefault(
            name,
            {
                "made": {},
                "observed": {},
                "failed": {},
                "replaced": {},
                "observed_before": {},
                "skipped": {},
                "told": {},
            },
        )

    def tell(self, name, key, version, at):
        """Note that somebody named the version of a partition; since when it is that one."""
        told = self.facts_of(name)["told"].setdefault(key, [])
        if version is not None and (not told or told[-1][1] != version):
            told.append((at, version))
        return at if version is None else told[-1][0]

    def observe(self, name, through=None, partition=None, version=None, at=None, rows=None):
        self.now += 1_000_000
        facts = self.facts_of(name)
        before = facts["observed"].get(partition)
        if before is not None and before.version is not None:
            facts["observed_before"][(partition, before.version)] = before
        facts["observed"][partition] = Observed(
            partition=partition,
            at=(moment := self.now if at is None else us(at)),
            first=moment if before is None else before.first,
            since=self.tell(name, partition, version, moment),
            version=version,
            data_through=us(through) if isinstance(through, str) else through,
            rows=rows,
        )
        return self

    def make(self, name, *partitions, inputs=None, started=None, history=True, **more):
        """Make partitions; `inputs` default to everything in the mapped windows that is in place."""
        definition = self.definitions[name]
        divided = partitioning(definition)
        for key in partitions or (None,):
            self.now += 1_000_000
            self.count += 1
            facts = self.facts_of(name)
            window = divided.partition(key)
            before = facts["made"].get(key)
            if before is not None and history:
                facts["replaced"][(key, before.version)] = before
            made = Made(
                **{
                    "partition": key,
                    "version": f"v{self.count}",
                    "at": self.now,
                    "started": self.now - 500_000 if started is None else us(started),
                    "run_id": f"run-{self.count}",
                    "partition_start": window.start_us,
                    "partition_end": window.end_us,
                    "code_version": definition.code_version,
                    "inputs": tuple(self.read(definition, divided, key) if inputs is None else inputs),
                    **more,
                }
            )
            since = self.tell(name, key, made.version, made.at)
            facts["made"][key] = made if made.code_version or since == made.at else made._replace(told=since)
            facts["failed"].pop(key, None)
            facts["skipped"].pop(key, None)
        return self

    def skip(self, name, *partitions, inputs=None):
        """Leave partitions as they are; `inputs` default to everything in the mapped windows that is in place."""
        definition = self.definitions[name]
        for key in partitions or (None,):
            self.now += 1_000_000
            self.facts_of(name)["skipped"][key] = Skipped(
                partition=key,
                at=self.now,
                started=self.now - 500_000,
                run_id="run-skipped",
                code_version=definition.code_version,
                inputs=tuple(self.read(definition, partitioning(definition), key) if inputs is None else inputs),
            )
        return self

    def read(self, definition, divided, key):
        """Everything in the mapped windows that is in place, in the order in which a projection gives it."""
        found = set()
        for used in definition.inputs:
            above = partitioning(self.definitions[used.asset])
            for part in used.mapping.upstream(divided.set_of([key]), above):
                version = self.version(used.asset, part.key)
                if version is not None:
                    found.add(Consumed(asset=used.asset, partition=part.key, version=version))
        return sorted(found, key=lambda one: (one.asset, one.partition or ""))

    def version(self, name, key=None):
        facts = self.facts_of(name)
        found = facts["made"].get(key) or facts["observed"].get(key)
        return found and found.version

    def fail(self, name, *partitions, message="it broke"):
        for key in partitions or (None,):
            self.now += 1_000_000
            self.facts_of(name)["failed"][key] = Failure(partition=key, at=self.now, state="failed", message=message)
        return self

    def facts(self):
        assets = {name: AssetFacts(last_run=self.now, **found) for name, found in self.assets.items()}
        return Facts(definitions=dict(self.definitions), assets=assets)


def keys(divided, first=None, last=None):
    return keys_of(divided.range(first, last) if first else divided.all())


def keys_of(partitions):
    return [partition.key for partition in partitions]
