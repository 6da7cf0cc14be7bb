"""Whole processes: a script of a user's, run by the side's interpreter as it is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import first_script
from common import journal_line, main, mb, say
from one_task import dagster_rows


def script(name, mode="plain"):
    """Run one of `first_script`'s, in a process of its own.

    Mode "up" has a Prefect server up before it, mode "projected" a projection of Headwater's.
    """
    Path("flow.py").write_text(getattr(first_script, name.upper()))
    if mode == "projected":
        for command in (("flow.py",), ("-m", "headwater", "runs")):
            subprocess.run((sys.executable, *command), stdout=subprocess.DEVNULL, check=True)
    if name == "prefect":
        from prefect_server import prefect_rows, server

        with server(mode) as usage:
            before = usage.settled_cpu_ms()
            figures = _timed("flow.py")
            if mode == "up":
                figures["server_cpu_ms"] = usage.settled_cpu_ms() - before
        recorded = prefect_rows()
    else:
        figures = _timed("flow.py")
        recorded = journal_line() if name == "headwater" else dagster_rows()
    say(recorded, **figures)


def code(text):
    """Run Python code in a process of its own."""
    say(**_timed("-c", text))


def _timed(*arguments):
    began = time.perf_counter()
    process = subprocess.Popen((sys.executable, *arguments), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"the script ended with status {status}")
    # The three of the whole process are this one's too, not those of the process that watches it.
    wall_ms, cpu_ms = wall * 1_000, (usage.ru_utime + usage.ru_stime) * 1_000
    whole = {"process_wall_ms": wall_ms, "process_cpu_ms": cpu_ms, "peak_mb": mb(usage)}
    return {"wall_ms": wall_ms, "cpu_ms": cpu_ms, **whole}


if __name__ == "__main__":
    main(script, code)
