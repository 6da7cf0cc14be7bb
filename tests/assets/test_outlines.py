"""Outlines out of rows of the projection say what the facts themselves would say, and so does all that is judged by them."""

from asset_worlds import us
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.definitions import AssetDefinition, InputDefinition
from headwater.assets.events import AssetRef
from headwater.assets.facts import Facts, outlines
from headwater.assets.mappings import WindowMapping, infer_mapping
from headwater.assets.partitions import DailyPartitions
from headwater.assets.staleness import staleness
from headwater.lineage.known import KnownAssets

DAYS = DailyPartitions("2013-01-01", "2013-01-05")
KEYS = [None, "2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"]
AS_OF = us("2013-01-20")
NAMES = ["a", "b", "c", "d"]
DATASETS = [*NAMES, "unnamed"]
moments = st.integers(1, 6)
versions = st.sampled_from([None, "1", "2"])


@st.composite
def rows(draw):
    """Rows as the statements give them: the versions in place, what each read, and what was observed."""
    places = draw(st.lists(st.tuples(st.sampled_from(DATASETS), st.sampled_from(KEYS)), unique=True, max_size=12))
    latest = []
    for number, (dataset, key) in enumerate(places):
        version = draw(st.sampled_from(["1", "1", "2", None]))
        made, code = draw(moments), draw(st.sampled_from([None, "code-1", "code-1", "code-2"]))
        started = draw(st.integers(0, made))
        span = (us(key), us(key) + 1) if key else (None, None)
        row = ("n", dataset, number, made, key, version, made, started, "run", 1, None, *span, code, False)
        latest.append(row)
    there = [row for row in latest if row[5] is not None]
    consumed = []
    for row in there:
        for used in draw(st.lists(st.sampled_from(there), max_size=3)):
            version = draw(st.sampled_from([used[5], used[5], used[5], None, "other"]))
            consumed.append(read(row, draw(st.sampled_from([used[1], "old name"])), used, version))
        if draw(st.integers(0, 5)) == 0:
            gone = ("n", draw(st.sampled_from(DATASETS)), None, None, draw(st.sampled_from(KEYS)), None)
            consumed.append(read(row, "gone", gone, draw(versions)))
    seen = draw(st.lists(st.tuples(st.sampled_from(DATASETS), st.sampled_from(KEYS), versions, moments), max_size=3))
    observed = {(dataset, key): ("n", dataset, key, at, version, at, 1, True) for dataset, key, version, at in seen}
    return {
        "latest": latest,
        "consumed": draw(st.permutations(list(dict.fromkeys(consumed, None)))),
        "observations": list(observed.values()),
        "replaced": [],
        "failed": [],
    }


def read(row, source, used, version):
    if used[2] is not None and version == used[5]:
        return (row[2], source, used[2], None)
    return (row[2], source, None, (used[0], used[1], used[4], version))


@st.composite
def definitions(draw):
    found = {}
    for name in NAMES:
        divided = draw(st.sampled_from([None, DAYS]))
        found[name] = AssetDefinition(
            ref=AssetRef(name=name, uri=f"memory://{name}", kind="memory", namespace="n", dataset=name),
            partitions=divided,
            code_version=draw(st.sampled_from(["code-1", "code-1", "code-2", None])),
        )
    for name, definition in list(found.items()):
        inputs = tuple(
            InputDefinition(parameter=other, asset=other, mapping=mapping(draw, definition, found[other]))
            for other in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
        )
        found[name] = AssetDefinition(
            ref=definition.ref, partitions=definition.partitions, code_version=definition.code_version, inputs=inputs
        )
    return found


def mapping(draw, below, above):
    if below is not above and draw(st.booleans()) and below.partitions and above.partitions:
        return WindowMapping(-1, 0)
    return (
        WindowMapping(-1, -1)
        if below is above and below.partitions
        else infer_mapping(below.partitions, above.partitions)
    )


def known(given_rows):
    return KnownAssets({("n", name): name for name in NAMES}, **given_rows)


def judged(facts):
    return {name: one[:4] for name, one in staleness(facts, AS_OF).items()}


@settings(max_examples=150, deadline=None)
@given(rows())
def test_an_outline_says_what_the_facts_say(given_rows):
    assets = known(given_rows)
    told, expected = assets.outlines(), outlines(dict(assets))
    assert told.keys() == expected.keys()
    for name, one in told.items():
        pure = expected[name]
        assert (set(one.keys), one.codes, one.oldest, one.newest) == (
            set(pure.keys),
            pure.codes,
            pure.oldest,
            pure.newest,
        )
        assert {asset: set(pairs) for asset, pairs in one.reads.items()} == {
            asset: set(pairs) for asset, pairs in pure.reads.items()
        }
        # To say less is allowed, for then the facts are asked; to say too much is not.
        assert pure.settled or not one.settled


@settings(max_examples=150, deadline=None)
@given(rows(), definitions())
def test_what_is_judged_by_outlines_of_rows_is_what_is_judged_by_the_facts(given_rows, defined):
    by_rows = Facts(definitions=defined, assets=known(given_rows))
    by_facts = Facts(definitions=defined, assets=dict(known(given_rows)))
    found = judged(by_rows)
    assert found == judged(by_facts)
    for name, (_, stale, _, _) in found.items():
        for part in stale:
            assert staleness(by_rows, AS_OF)[name].why(part.key) == staleness(by_facts, AS_OF)[name].why(part.key)
