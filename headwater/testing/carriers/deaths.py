"""A writer lives as long as its process, and what it left open is ended once."""

# ruff: noqa: D102 - the name of a test says what it is about

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing

from headwater.core.events import LogWritten, RunEnded, TaskEnded, WriterClosed
from headwater.core.journal.events import Body, Event
from headwater.core.journal.recovery import Recovered
from headwater.errors import HeadwaterError
from headwater.testing.carriers.cases import (
    Follower,
    alive,
    assert_same,
    assert_sound,
    assert_true,
    at_once,
    error_of,
    events_of,
    keys,
    log,
    messages,
    open_work,
    run_ended,
    run_started,
    told_closed,
)
from headwater.testing.carriers.process import Tests


class DeathTests(Tests):
    """A writer lives as long as its process, and what it left open is ended once."""

    def test_writers_live_until_they_close_or_die(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other, closing(carrier.writer()) as writer:
            writer.append(log("a"))
            died = other.append(log("b"))
            assert_same(alive(carrier), {writer.id: True, died: True}, "who lives")
            other.kill()
            assert_same(alive(carrier), {writer.id: True, died: False}, "who lives after one died")
            writer.close()
            assert_true(not any(alive(carrier).values()), f"who lives after the other closed: {alive(carrier)}")

    def test_where_a_writers_events_end_is_never_before_what_was_read(self) -> None:
        with self.carrier() as carrier, closing(carrier.writer()) as writer:
            for i in range(5):
                writer.append(log(i), log("x" * 1_000))
                (batch,) = carrier.read()
                end = carrier.writers()[writer.id].end
                assert_true(end >= batch.position.offset, f"events end at {end}, and were read up to {batch.position}")

    def test_what_a_killed_process_appended_is_there(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            for i in range(20):
                other.append(log(i))
            other.kill()
            found = events_of(carrier)
            assert_sound(found)
            assert_same(messages(found), [str(i) for i in range(20)], "what was appended before the death")

    def test_a_living_writer_is_left_alone(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other, closing(carrier.writer()) as writer:
            writer.append(*open_work("mine"))
            other.append(*open_work("theirs"))
            before = events_of(carrier)
            assert_same(carrier.recover(), [], "what there is to recover while all live")
            assert_same(events_of(carrier), before, "the events")
            writer.append(run_ended("mine"))

    def test_a_dead_writers_work_is_ended_where_it_stands(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            died = other.append(*open_work("run"), run_started("done"), run_ended("done"))
            other.kill()
            (recovered,) = carrier.recover()
            assert_same(
                (recovered.writer, recovered.crashed, recovered.error), (died, ("run",), None), "what was recovered"
            )
            found = events_of(carrier)
            assert_sound(found)
            task, run, closed = found[-3:]
            assert_same(recovered.appended, 3, "how many events were appended")
            assert_same((task.kind, task.body["state"]), (TaskEnded.kind, "Crashed"), "the end of the task run")
            assert_same(
                (run.kind, run.body["run_id"], run.body["state"]), (RunEnded.kind, "run", "Crashed"), "that of the run"
            )
            assert_true(
                str(other.pid) in run.body["error"]["message"], "the run's end does not name the process that died"
            )
            assert_same(closed.body, {"reason": "recovered"}, "the last event")
            assert_true(died in told_closed(carrier.read()), "a writer that was recovered is not closed")
            assert_same(carrier.recover(), [], "what there is to recover after that")

    def test_a_writer_that_closes_with_a_run_open_is_recovered(self) -> None:
        with self.carrier() as carrier:
            with closing(carrier.writer()) as writer:
                writer.append(*open_work("run"))
            assert_same(told_closed(carrier.read()), set(), "the writers that are closed")
            (recovered,) = carrier.recover()
            assert_same(recovered.crashed, ("run",), "the runs that were ended")

    def test_dead_writers_are_recovered_once_however_many_look(self) -> None:
        with self.carrier() as carrier, ExitStack() as stack:
            others = [stack.enter_context(self.process(carrier)) for _ in range(3)]
            for number, other in enumerate(others):
                other.append(*open_work(f"run{number}"))
            alive = stack.enter_context(closing(carrier.writer()))
            alive.append(*open_work("alive"))
            for other in others:
                other.kill()
            found: list[Recovered] = []
            at_once(lambda _: found.extend(carrier.recover()), range(6))
            # Who came while another was at a writer has passed it over.
            found += carrier.recover()
            assert_same(
                sorted(one.crashed for one in found), [("run0",), ("run1",), ("run2",)], "the runs that were ended"
            )
            events = events_of(carrier)
            assert_sound(events)
            ends = Counter((event.kind, event.body["run_id"]) for event in events if event.kind.endswith(".ended"))
            expected = [(kind, f"run{number}") for kind in (TaskEnded.kind, RunEnded.kind) for number in range(3)]
            assert_same(ends, Counter(expected), "how often what was ended")
            alive.append(run_ended("alive"))

    def test_writers_known_to_be_closed_are_not_recovered(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            died = other.append(*open_work("run"))
            other.kill()
            assert_same(carrier.recover(skip={died}), [], "what was recovered")

    def test_settlers_see_all_events_and_speak_before_the_runs_end(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.append(*open_work("run"), log("staged"))
            other.kill()
            seen: list[Event] = []

            def settler(events: Sequence[Event]) -> Iterable[Body]:
                seen.extend(events)
                assert_same((len(events), events[-1], events[1:][0]), (4, seen[3], seen[1]), "the events as a sequence")
                return [log("settled")]

            before = events_of(carrier)
            carrier.recover([settler])
            assert_same(seen, before, "what the settler was shown")
            kinds = [event.kind for event in events_of(carrier)[4:]]
            assert_same(kinds, [TaskEnded.kind, LogWritten.kind, RunEnded.kind, WriterClosed.kind], "what was appended")

    def test_a_settler_that_can_not_say_yet_is_asked_again(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.append(*open_work("run"))
            other.kill()
            answers: list[Body | HeadwaterError] = [HeadwaterError("the store does not answer"), log("settled")]

            def settler(events: Sequence[Event]) -> Iterable[Body]:
                answer = answers.pop(0)
                if isinstance(answer, HeadwaterError):
                    raise answer
                return [answer]

            errors = [str(one.error) for _ in range(3) for one in carrier.recover([settler])]
            assert_same(errors, ["the store does not answer", "None"], "what the looks came to")
            found = events_of(carrier)
            assert_sound(found)
            ends = [event.kind for event in found if event.kind.endswith(".ended")]
            assert_same((ends, messages(found)), ([TaskEnded.kind, RunEnded.kind], ["settled"]), "what was appended")

    def test_a_settler_that_fails_leaves_the_writer_to_the_next_look(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            other.append(*open_work("run"))
            other.kill()

            def settler(events: Sequence[Event]) -> Iterable[Body]:
                raise ZeroDivisionError

            assert_same(type(error_of(lambda: carrier.recover([settler]))), ZeroDivisionError, "the error")
            assert_same([one.crashed for one in carrier.recover()], [("run",)], "what the next look ended")

    def test_a_reader_reads_on_behind_a_death(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other:
            reader = Follower(carrier)
            other.append(*open_work("run"))
            reader.read()
            other.kill()
            reader.read()
            carrier.recover()
            reader.read()
            assert_sound(reader.events)
            assert_same(keys(reader.events), keys(events_of(carrier)), "what was read")

    def test_nothing_of_this_is_damage(self) -> None:
        with self.carrier() as carrier, self.process(carrier) as other, closing(carrier.writer()) as writer:
            writer.append(log("a"))
            other.append(*open_work("run"))
            assert_same(carrier.verify(), [], "the damage")
            other.kill()
            carrier.recover()
            writer.close()
            assert_same(carrier.verify(), [], "the damage")
