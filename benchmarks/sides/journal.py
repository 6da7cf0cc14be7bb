"""Events into the journal by several processes at once: `count` appends each, of `batch` events; raw: the same bytes.

Bare: a loop that does no more for an event than what can't be left out. Events of every day, buffered; or the start and the
end of runs, durable, with a sync for each append.
"""

import os
import time
from pathlib import Path

from common import main, say


def headwater(processes, count, kind, batch=1):
    """Each process has a writer of its own, as any two processes of a project do."""
    from headwater.core.journal.home import Home
    from headwater.core.journal.writer import Writer

    home = Home.open(".headwater", create=True)
    batches = [tuple(bodies(kind)[(first + number) % 3] for number in range(batch)) for first in range(3)]

    def begin(_):
        writer = Writer(home)
        writer.append(*batches[0])
        return lambda number: writer.append(*batches[number % 3])

    _say_rate(processes, count, batch, begin)


def raw(processes, count, kind, batch=1):
    """A write of the same bytes for each append, and for durable ones a sync of the file's data."""
    from headwater.core.journal.lines import encode, head_of

    head = head_of("01975cd8-0000-7000-8000-000000000000")
    lines = [encode(head, 1_000, body) for body in bodies(kind)]
    batches = [b"".join(lines[(first + number) % 3] for number in range(batch)) for first in range(3)]
    sync = getattr(os, "fdatasync", os.fsync)

    def begin(process):
        file = os.open(f"raw-{process}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def buffered(number):
            os.write(file, batches[number % 3])

        def durable(number):
            os.write(file, batches[number % 3])
            sync(file)

        return durable if kind == "durable" else buffered

    _say_rate(processes, count, batch, begin)


def bare(processes, count, kind, batch=1):
    """What of an append can't be left out: JSON, a checksum, a write; the id and the time are always the same ones."""
    from zlib import crc32

    from orjson import dumps

    head = b'{"w":"01975cd8-0000-7000-8000-000000000000","n":%d,"id":"01975cd8-0000-7000-8000-000000000000","t":1763680000000000,%b'
    kinds = [(b'"k":"%b","v":1,"b":' % body.kind.encode(), body) for body in bodies(kind)]

    def begin(process):
        file = os.open(f"raw-{process}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def buffered(number):
            label, body = kinds[number % 3]
            line = head % (number, label) + dumps(body)
            os.write(file, b'%b,"c":"%08x"}\n' % (line, crc32(line)))

        return buffered

    _say_rate(processes, count, batch, begin)


def bodies(kind):
    """Three events as a flow writes them."""
    from headwater import ids
    from headwater.core.events import LogWritten, RunEnded, RunStarted, TaskEnded, TaskStarted

    run, task = ids.new_id(), ids.new_id()
    if kind == "durable":
        whose = {
            "run_id": run,
            "flow": "load_orders",
            "root_run_id": run,
            "root_flow": "load_orders",
            "project": "shop",
        }
        started, ended = RunStarted(parameters={}, **whose), RunEnded(state="Completed", started=1, **whose)
        return [started, ended, started]
    return [
        TaskStarted(task_run_id=task, run_id=run, task="load_orders"),
        LogWritten(
            run_id=run, task_run_id=task, level=20, logger="shop.orders", message="1234 rows of orders are left"
        ),
        TaskEnded(
            task_run_id=task, run_id=run, task="load_orders", state="Completed", tries=1, started=1_763_680_000_000_000
        ),
    ]


def _say_rate(processes, count, batch, begin):
    """Let that many forked processes make `count` appends each, all from the same moment on; the rate of all together."""
    ready, go = os.pipe(), os.pipe()
    children = [_fork(lambda process=process: _child(process, count, begin, ready, go)) for process in range(processes)]
    for _ in children:
        os.read(ready[0], 1)
    began = time.perf_counter()
    os.write(go[1], b"x" * processes)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    spent = time.perf_counter() - began
    if any(statuses):
        raise SystemExit("a process failed")
    files = [*Path().glob("raw-*"), *Path(".headwater/journal").glob("*.ndjson")]
    events = processes * count * batch
    size = sum(file.stat().st_size for file in files)
    say(f"{events:,} events, {size / 1e6:.1f} MB", events_per_s=events / spent)


def _fork(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _child(process, count, begin, ready, go):
    append = begin(process)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    for number in range(count):
        append(number)


if __name__ == "__main__":
    main(headwater, raw, bare)
