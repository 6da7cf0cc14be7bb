"""What is written is read: each event once, whole, in its writer's order."""

# ruff: noqa: D102 - the name of a test says what it is about

from __future__ import annotations

import random
import threading
from collections import Counter
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import ClassVar

from headwater.core.events import LogWritten, RunEnded, RunStarted, WriterClosed, WriterOpened
from headwater.core.journal.carrier import Carrier
from headwater.core.journal.lines import decode, head_of, is_whole, sequence_of
from headwater.core.journal.reader import Position
from headwater.testing.carriers.cases import (
    Follower,
    Newer,
    NewerLog,
    assert_same,
    assert_sound,
    assert_true,
    at_once,
    decoded,
    events_of,
    keys,
    log,
    messages,
    run_ended,
    run_started,
    told_closed,
)
from headwater.testing.carriers.process import Tests


class EventTests(Tests):
    """What is written is read: each event once, whole, in its writer's order."""

    examples: ClassVar[int] = 20
    """How many journals the property test makes up."""

    def test_a_writer_begins_with_its_first_event(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append()
            assert_same(list(carrier.read()), [], "what is in a journal in which nobody wrote")
            writer.append(log("a"))
            opened, logged = events_of(carrier)
            assert_same((opened.kind, opened.seq, opened.writer), (WriterOpened.kind, 0, writer.id), "the first event")
            assert_same(opened.record(WriterOpened).format, 1, "the format that the first event names")
            assert_same(messages([logged]), ["a"], "the event behind it")

    def test_numbers_have_no_gaps_and_order_is_kept(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            for i in range(50):
                writer.append(*[log(f"{i}.{part}") for part in range(i % 4)])
            found = events_of(carrier)
            assert_sound(found)
            assert_same(
                messages(found), [f"{i}.{part}" for i in range(50) for part in range(i % 4)], "what was appended"
            )

    def test_a_durable_event_can_be_read_like_any_other(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append(log("before"), run_started("run"), log("between"), run_ended("run"))
            kinds = [event.kind for event in events_of(carrier)[1:]]
            assert_same(
                kinds, [LogWritten.kind, RunStarted.kind, LogWritten.kind, RunEnded.kind], "the kinds of events"
            )

    def test_threads_share_one_sequence_and_what_is_appended_together_stays_together(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:

            def write(name: int) -> None:
                for i in range(40):
                    writer.append(*[log(f"{name}.{i}.{part}") for part in range(3)])

            at_once(write, range(5))
            found = events_of(carrier)
            assert_sound(found)
            said = messages(found)
            assert_same(len(said), 600, "the number of events")
            for first in range(0, 600, 3):
                start = said[first].rpartition(".")[0]
                assert_same(said[first : first + 3], [f"{start}.{part}" for part in range(3)], "what one call appended")

    def test_several_writers_at_once_keep_apart(self) -> None:
        with self.carrier() as carrier, ExitStack() as stack:
            writers = [stack.enter_context(closing(carrier.writer())) for _ in range(4)]
            others = [stack.enter_context(self.process(carrier)) for _ in range(2)]
            appends = [writer.append for writer in writers] + [other.append for other in others]

            def write(number: int) -> None:
                for i in range(30):
                    appends[number](log(f"{number}.{i}"))

            at_once(write, range(len(appends)))
            found = events_of(carrier)
            assert_sound(found)
            assert_same(len({event.writer for event in found}), len(appends), "the number of writers")
            for number in range(len(appends)):
                mine = [message for message in messages(found) if message.startswith(f"{number}.")]
                assert_same(mine, [f"{number}.{i}" for i in range(30)], f"what writer {number} wrote")

    def test_closing_says_so_and_the_next_event_begins_another_writer(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append(log("a"))
            first = writer.id
            writer.close()
            writer.close()
            assert_true(first in told_closed(carrier.read()), "a writer that closed is not reported as closed")
            assert_same(events_of(carrier)[-1].kind, WriterClosed.kind, "the last event")
            assert_same(carrier.recover(), [], "what there is to recover of a closed writer")
            writer.append(log("b"))
            assert_true(writer.id != first, "a writer that goes on after it was closed needs another id")
            closed = told_closed(carrier.read())
            assert_true(first in closed and writer.id not in closed, "the wrong writer is reported as closed")
            assert_sound(events_of(carrier))

    def test_batches_are_bounded_and_follow_one_another(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            for _ in range(21):
                writer.append(*[log("x")] * 1_000)
            for _ in range(10):
                writer.append(log("x" * 1_000_000))
            batches = list(carrier.read())
            assert_sound(decoded(batches))
            assert_same(sum(len(batch.lines) for batch in batches), 21_011, "the number of lines")
            for batch in batches:
                size = sum(map(len, batch.lines))
                assert_true(
                    len(batch.lines) <= 25_000 and size < 12_000_000, f"{len(batch.lines)} lines, {size} bytes at once"
                )
                assert_same(batch.position.seq, batch.first_seq + len(batch.lines), "the position behind a batch")
            for one, other in pairwise(batches):
                assert_same(other.first_seq, one.position.seq, "where the next batch begins")

    def test_reading_on_gives_each_event_once_whatever_is_written_and_read_when(self) -> None:
        for example in range(self.examples):
            # The example's number makes it: who sees it fail can look at it alone.
            with self.carrier() as carrier, ExitStack() as stack:
                self._write_and_read(carrier, random.Random(example), stack, f"example {example}")  # noqa: S311

    def _write_and_read(self, carrier: Carrier, chance: random.Random, stack: ExitStack, what: str) -> None:
        writers = [stack.enter_context(closing(carrier.writer())) for _ in range(chance.randint(1, 4))]
        reader, written = Follower(carrier), 0
        for _ in range(chance.randint(1, 40)):
            match chance.choice(["append", "append", "append", "read", "part", "close", "lose"]):
                case "append":
                    count = chance.choice([1, 2, 7, 40])
                    chance.choice(writers).append(*[log(written + i) for i in range(count)])
                    written += count
                case "read":
                    reader.read()
                case "part":
                    reader.read(batches=chance.randint(0, 2))
                case "close":
                    chance.choice(writers).close()
                case "lose":
                    reader.lose_hints(chance)
        reader.read()
        assert_sound(reader.events)
        assert_same(Counter(messages(reader.events)), Counter(map(str, range(written))), what)
        assert_same(sorted(keys(reader.events)), sorted(keys(events_of(carrier))), what)

    def test_any_position_can_be_read_from(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append(*[log(i) for i in range(30)])
            (batch,) = carrier.read()
            for seq in range(31):
                for offset in (0, -7, 1, 500, batch.position.offset - 1, 10**9):
                    found = list(carrier.read({writer.id: Position(seq, offset)}))
                    lines = [line for one in found for line in one.lines]
                    assert_same(
                        lines, list(batch.lines[seq:]), f"what is behind number {seq}, with the offset {offset}"
                    )
            assert_same(list(carrier.read({writer.id: batch.position})), [], "what is behind the end")

    def test_a_position_beyond_the_end_gives_nothing_until_the_writer_gets_there(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append(log("a"))
            beyond = {writer.id: Position(3, 10_000)}
            assert_same(list(carrier.read(beyond)), [], "what is beyond the end")
            writer.append(log("b"), log("c"), log("d"))
            assert_same(messages(decoded(carrier.read(beyond))), ["c", "d"], "what is behind the position")

    def test_reading_again_gives_the_same_bytes(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            writer.append(log("é \x00 \n \U0001f30a"), log("b"), run_started("run"), run_ended("run"))
            first = [line for batch in carrier.read() for line in batch.lines]
            writer.append(log("c"))
            writer.close()
            again = [line for batch in carrier.read() for line in batch.lines]
            assert_same(again[: len(first)], first, "lines that were read before")
            for seq, line in enumerate(again):
                assert_true(is_whole(line), f"the checksum of {line!r} does not fit")
                assert_same(sequence_of(head_of(decode(line).writer), line), seq, "the number that a line begins with")

    def test_what_a_newer_version_wrote_is_kept(self) -> None:
        with self.carrier() as carrier:
            with closing(carrier.writer()) as writer:
                writer.append(NewerLog(run_id="r", level=20, logger="l", message="m", mood="calm"), Newer(what="x"))
            newer, unknown = events_of(carrier)[1:3]
            assert_same(newer.body["mood"], "calm", "a member that this version does not know")
            assert_same(newer.record(LogWritten).message, "m", "a member that it does know")
            assert_same((unknown.kind, unknown.body), ("newer.thing", {"what": "x"}), "an event of an unknown kind")

    def test_readers_see_whole_events_in_order_while_others_write(self) -> None:
        with self.carrier() as carrier, ExitStack() as stack:
            other = stack.enter_context(self.process(carrier))
            reader, done = Follower(carrier), threading.Event()

            def write() -> None:
                try:
                    for i in range(40):
                        other.append(*[log(f"{i}.{part} " + "x" * 300) for part in range(50)])
                finally:
                    done.set()

            def read() -> None:
                last = False
                while not last:
                    last = done.is_set()
                    reader.read()

            at_once(lambda work: work(), [write, read])
            assert_sound(reader.events)
            assert_same(len(messages(reader.events)), 2_000, "the number of events")

    def test_what_is_skipped_is_not_read(self) -> None:
        with self.carrier() as carrier, ExitStack() as stack:
            writers = [stack.enter_context(closing(carrier.writer())) for _ in range(3)]
            for writer in writers:
                writer.append(log(writer.id))
            one, two, three = (writer.id for writer in writers)
            assert_same(messages(decoded(carrier.read(skip={two}))), [one, three], "what is not skipped, oldest first")
            assert_same(list(carrier.writers(skip={one, three})), [two], "the writers that are not skipped")
