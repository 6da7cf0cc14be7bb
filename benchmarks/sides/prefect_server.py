"""A Prefect server beside the flow, as one would have it: up before the flow starts, its CPU and memory counted apart."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from common import Stopwatch, say, sqlite_rows

_TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "log", "events", "artifact")


@contextmanager
def server(mode):
    """`mode` "up": a server that runs already; "ephemeral": Prefect starts one of its own. Yields its `Usage`."""
    if mode == "ephemeral":
        yield Usage(None)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    process = subprocess.Popen([*command, "--no-ui"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        _until_healthy(os.environ["PREFECT_API_URL"] + "/health")
        yield Usage(process.pid)
    finally:
        process.terminate()
        process.wait(20)


class Usage:
    """CPU and memory of a process and its children. Unknown (zero) where there is no /proc."""

    def __init__(self, pid):
        self._pid = pid

    def _all(self):
        found, queue = [], [self._pid] if self._pid and Path("/proc/self/stat").exists() else []
        for pid in queue:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                found.append(pid)
                queue += [int(child) for child in children.read_text().split()]
        return found

    def cpu_ms(self):
        """CPU until now, milliseconds."""
        ticks = 0
        for pid in self._all():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1_000 / os.sysconf("SC_CLK_TCK")

    def settled_cpu_ms(self):
        """The same, when the server has written down what it was told: when it has been idle for a second."""
        before, deadline = self.cpu_ms(), time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(1)
            now = self.cpu_ms()
            if now - before < 60:
                return now
            before = now
        return before

    def peak_mb(self):
        """Its peak of memory."""
        lines = [line for pid in self._all() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1_024 / 1e6 for line in lines if line.startswith("VmHWM"))


def drain():
    """Wait until this process has handed over its task runs' states and its logs, as it would at its exit."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all()
    APILogWorker.drain_all()


def say_prefect(usage, count, do):
    """Do `count` things and print what each cost; the server's work for them is counted until it has settled."""
    before = usage.settled_cpu_ms()
    with Stopwatch() as spent:
        do()
        drain()
    after = usage.settled_cpu_ms()
    server_cpu = {"server_cpu_ms": (after - before) / count} if after else {}
    say(prefect_rows(), cpu_ms=spent.cpu_ms / count, wall_ms=spent.wall_ms / count, **server_cpu)


def prefect_rows():
    """What stands in the server's database."""
    return sqlite_rows([Path(os.environ["PREFECT_HOME"]) / "prefect.db"], *_TABLES)


def _until_healthy(url):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the Prefect server did not come up in 90 s")
