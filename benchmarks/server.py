"""A server over a large company's journal: the first data of each page, cold and warm, and fifty people who look at once.

    python -m benchmarks.server [FOLDER] [--assets N] [--runs N] [--clients N] [--seconds N] [--json FILE]

Without FOLDER the journal is made in a temporary one, which takes minutes. With one it is made where there is none and kept.

The fifty come twice: as programs that ask for one thing after the other without a pause, and as people, who open a page with all
that it asks for and look at it for two to five seconds. Meanwhile the journal grows: each second an asset is made again.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.sides.seeded import WIDTH, made_again, write
from headwater.core.journal.home import Home
from headwater.core.journal.writer import Writer

WARM = 9
"""Times that each request is made when it was made before; the median counts."""
LOOKS = (2.0, 5.0)
"""Seconds that a person looks at a page, at least and at most."""
_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Make what is missing, start a server, ask, and print what came of it."""
    told = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(told.folder or temporary)
        if not (folder / ".headwater").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(Home.open(folder / ".headwater", create=True), told.assets, told.runs)
        found = _measured(folder, told)
    print(_table(found))
    if told.json:
        Path(told.json).write_text(json.dumps(found, indent=2))


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--assets", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json")
    return parser.parse_args()


def _measured(folder, told):
    command = [sys.executable, "-m", "headwater", "serve", "--port", "0", "--insecure-local", "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = urllib.parse.urlsplit(json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"]).port
            _until_ready(port)
            ready = time.perf_counter() - began
            at_rest = _memory(server.pid)
            pages = _pages(port, told.assets)
            print(f"ready after {ready:.1f} s, {at_rest['now'] / 1e6:,.0f} MB", file=sys.stderr, flush=True)
            asked = {path: name for name, paths in pages.items() for path in paths}
            cold = {path: _timed(port, path) for path in asked}
            warm = {path: _warm(port, path, server.pid) for path in asked}
            requests = [{"page": name, "path": path, "cold": cold[path], **warm[path]} for path, name in asked.items()]
            with _growing(folder, told.assets):
                loads = {
                    "without a pause": _load(port, server.pid, pages, told, pause=None),
                    "as people": _load(port, server.pid, pages, told, pause=LOOKS),
                }
            return {
                "assets": told.assets,
                "runs": told.runs,
                "clients": told.clients,
                "ready": ready,
                "requests": requests,
                "load": loads,
                "memory": {"at_rest": at_rest, **_memory(server.pid)},
            }
        finally:
            server.terminate()


def _pages(port, assets):
    """The requests that each page begins with."""
    last, middle = _name(assets - 1), _name(assets // 2)
    run = json.loads(_asked(port, "/api/runs?limit=1"))["runs"][0]["id"]
    return {
        "board": ["/api/assets/overview", "/api/assets?limit=50"],
        "board, late only": ["/api/assets?limit=50&verdict=late"],
        "board, by group": ["/api/assets/groups?by=group"],
        "asset": _of_asset(last),
        "asset, why": [f"/api/explain?subject={middle}"],
        "lineage": ["/api/graph"],
        "lineage of one": [f"/api/graph?root={last}&up=1&down=1"],
        "runs": ["/api/runs?limit=50", "/api/flows"],
        "runs, failed": ["/api/runs?limit=50&state=Failed"],
        "run": [f"/api/runs/{run}", *(f"/api/runs/{run}/{one}" for one in ("timeline", "groups", "tail", "made"))],
        "backfills": ["/api/backfills?limit=200", "/api/requests?open=true"],
        "checks": ["/api/checks?limit=50"],
        "search": ["/api/search?q=table_49&limit=6"],
    }


def _of_asset(name):
    return [f"/api/assets/one?name={name}", f"/api/assets/detail?name={name}", f"/api/assets/history?name={name}"]


def _name(number):
    return f"area_{number // WIDTH:03d}_table_{number % WIDTH:03d}"


def _asked(port, path, connection=None):
    asking = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    asking.request("GET", path)
    answer = asking.getresponse()
    body = answer.read()
    if connection is None:
        asking.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {body[:500]!r}")
    return body


def _timed(port, path, connection=None):
    began = time.perf_counter()
    _asked(port, path, connection)
    return time.perf_counter() - began


def _warm(port, path, pid):
    """Of a request that was made before: the median of its seconds, the processor seconds of each, and the bytes."""
    before = _worked(pid)
    took = [_timed(port, path) for _ in range(WARM)]
    worked = (_worked(pid) - before) / WARM
    return {"warm": statistics.median(took), "processor": worked, "bytes": len(_asked(port, path))}


def _worked(pid):
    """Processor seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _until_ready(port):
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        asking.request("GET", "/api/ready")
        if asking.getresponse().status == 200:
            return
        time.sleep(0.2)
    raise SystemExit("the server never became ready")


@contextmanager
def _growing(folder, assets):
    """The journal grows for as long as this lasts."""
    over = threading.Event()

    def grow():
        chance = random.Random(0)
        with closing(Writer(Home.open(folder / ".headwater", create=False))) as writer:
            while not over.wait(1):
                writer.append(*made_again(chance.randrange(assets)))

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _load(port, pid, pages, told, *, pause):
    """Everybody opens pages, each of another asset two times in five; without a `pause` one request of a page after the other."""
    took, stop = [], time.perf_counter() + told.seconds
    others = [paths for name, paths in pages.items() if not name.startswith("asset")]

    def look(number):
        chance = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        if pause is not None:
            time.sleep(chance.uniform(0, pause[1]))
        while time.perf_counter() < stop:
            of_one = chance.random() < 0.4
            page = _of_asset(_name(chance.randrange(told.assets))) if of_one else chance.choice(others)
            took.extend((_timed(port, path, connection), path) for path in page)
            if pause is not None:
                time.sleep(chance.uniform(*pause))
        connection.close()

    threads = [threading.Thread(target=look, args=(number,)) for number in range(told.clients)]
    began, before = time.perf_counter(), _worked(pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted, times = time.perf_counter() - began, sorted(one for one, _ in took)
    slowest = [f"{path} {one * 1e3:.0f} ms" for one, path in sorted(took, reverse=True)[:5]]
    return {
        "requests": len(times),
        "a_second": len(times) / lasted,
        "processor": (_worked(pid) - before) / len(times),
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
        "slowest": slowest,
    }


def _memory(pid):
    """The memory of a process now and at most, in bytes."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {"now": int(found["VmRSS"].split()[0]) * 1024, "most": int(found["VmHWM"].split()[0]) * 1024}


def _table(found):
    rows = ["| page | request | first time | again | processor | bytes |", "|---|---|---|---|---|---|"]
    for one in found["requests"]:
        times = " | ".join(f"{one[name] * 1e3:,.0f} ms" for name in ("cold", "warm", "processor"))
        rows.append(f"| {one['page']} | `{one['path']}` | {times} | {one['bytes']:,} |")
    memory = found["memory"]
    rows += ["", f"{found['assets']:,} assets, {found['runs']:,} runs; ready after {found['ready']:.1f} s."]
    for how, load in found["load"].items():
        rows += [
            f"{found['clients']} clients {how}: {load['a_second']:.0f} answers a second, "
            f"median {load['p50'] * 1e3:.0f} ms, 99th percentile {load['p99'] * 1e3:.0f} ms; "
            f"{load['processor'] * 1e3:.0f} ms of processor each, all that is done behind them included.",
            "Slowest: " + "; ".join(load["slowest"]),
        ]
    return "\n".join(
        [
            *rows,
            f"Memory {memory['at_rest']['now'] / 1e6:,.0f} MB when ready, then {memory['now'] / 1e6:,.0f} MB, "
            f"at most {memory['most'] / 1e6:,.0f} MB.",
        ]
    )


if __name__ == "__main__":
    main()
