from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from journal_cases import run_started
from tried import tried_on

from headwater.assets.events import AssetObserved, AssetRef
from headwater.core.events import LogWritten, RunStarted
from headwater.core.journal.lines import decode, encode, encode_all, head_of, is_whole, sequence_of

HEAD = head_of("0" * 36)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def line_of(parameters: Any, seq: int = 0) -> bytes:
    body = run_started("run", parameters=parameters)
    return encode(HEAD, seq, body)


@given(st.dictionaries(st.text(), plain, max_size=4), st.integers(0, 2**40))
@tried_on(50)
def test_what_is_written_is_what_is_read(parameters: dict[str, Any], seq: int) -> None:
    line = line_of(parameters, seq)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert is_whole(line[:-1])
    assert sequence_of(HEAD, line[:-1]) == seq
    assert decode(line[:-1]).record(RunStarted) == run_started("run", parameters=parameters)


def test_events_that_are_written_together_are_the_lines_of_each_one_after_the_other() -> None:
    bodies = [LogWritten(run_id="r", level=20, logger="l", message=str(number)) for number in range(10_000)]
    *lines, rest = bytes(encode_all(HEAD, 5, bodies)).split(b"\n")
    found = [decode(line) for line in lines]
    assert all(map(is_whole, lines))
    assert rest == b""
    assert [event.seq for event in found] == list(range(5, 10_005))
    assert [event.record(LogWritten) for event in found] == bodies
    assert [event.id for event in found] == sorted({event.id for event in found})
    assert {len(event.id) for event in found} == {36}
    times = [event.time for event in found]
    assert times == sorted(times)
    assert times[0] < times[-1]
    assert encode_all(HEAD, 0, []) == b""


@given(st.data())
@tried_on(100)
def test_a_flipped_bit_anywhere_is_seen(data: st.DataObject) -> None:
    line = bytearray(line_of({"a": 1}, 7)[:-1])
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_whole(bytes(line))


def test_a_line_is_json_with_the_members_that_were_promised() -> None:
    value = json.loads(line_of({}, 7))
    assert list(value) == ["w", "n", "id", "t", "k", "v", "b", "c"]
    assert (value["n"], value["k"], value["v"]) == (7, "run.started", 1)


def test_what_json_cannot_hold_is_kept_as_text() -> None:
    loop: list[Any] = [1]
    loop.append(loop)

    class Strange:
        def __repr__(self) -> str:
            return "<strange \udcff>"

    parameters = {
        "bytes": b"\xff",
        "huge": 2**70,
        3: "key",
        "set": {1},
        "odd": Strange(),
        "loop": loop,
        "nan": float("nan"),
    }
    found = decode(line_of(parameters)[:-1]).body["parameters"]
    assert found["bytes"] == "b'\\xff'"
    assert found["huge"] == str(2**70)
    assert found["3"] == "key"
    assert found["set"] == [1]
    assert found["odd"] == "<strange \\udcff>"
    assert found["loop"][0] == 1
    assert found["nan"] is None


def test_a_nested_record_survives_a_strange_value_beside_it() -> None:
    ref = AssetRef(name="a\udcff", uri="u", kind="memory", namespace="memory", dataset="a")
    body = AssetObserved(observation_id="o", project="p", asset=ref, rows=3)
    found = decode(encode(HEAD, 0, body)[:-1])
    assert found.body["asset"]["name"] == "a\\udcff"
    assert found.body["rows"] == 3


def test_a_body_with_a_member_called_version_has_the_version_of_its_class() -> None:
    ref = AssetRef(name="a", uri="u", kind="memory", namespace="memory", dataset="a")
    body = AssetObserved(observation_id="o", project="p", asset=ref, version="etag-7")
    found = decode(encode(HEAD, 0, body)[:-1])
    assert found.version == 1
    assert found.record(AssetObserved).version == "etag-7"


def test_hostile_text_is_read_back_byte_by_byte() -> None:
    text = 'quote" back\\slash \n newline \r \x00 \u2028 \u202e العربية 🦆 ,"c":"00000000"}'
    body = LogWritten(run_id="r", level=20, logger="l", message=text)
    assert decode(encode(HEAD, 0, body)[:-1]).body["message"] == text
