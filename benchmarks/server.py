"""A server over a large company's journal: the first data of each page, cold and warm, and fifty people who look at once.

    python -m benchmarks.server [FOLDER] [--assets N] [--runs N] [--clients N] [--seconds N] [--json FILE]

Without FOLDER the journal is made in a temporary one, which takes minutes. With one it is made where there is none and kept.
"""

import argparse
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from benchmarks.sides.seeded import WIDTH, write
from headwater.core.journal.home import Home

WARM = 7
"""Times that each page is asked for when it was asked for before; the median counts."""


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
            first = {name: [_timed(port, path) for path in paths] for name, paths in pages.items()}
            for name, times in first.items():
                print(f"{name}: {max(times) * 1e3:,.0f} ms the first time", file=sys.stderr, flush=True)
            warm = {name: _warm(port, paths) for name, paths in pages.items()}
            under_load = _load(port, pages, told.assets, told.clients, told.seconds)
            return {
                "assets": told.assets,
                "runs": told.runs,
                "ready": ready,
                "pages": {name: {"cold": max(first[name]), "warm": warm[name]} for name in pages},
                "load": under_load,
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


def _warm(port, paths):
    """The slowest of a page's requests, each one's median."""
    return max(statistics.median(_timed(port, path) for _ in range(WARM)) for path in paths)


def _until_ready(port):
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        asking.request("GET", "/api/ready")
        if asking.getresponse().status == 200:
            return
        time.sleep(0.2)
    raise SystemExit("the server never became ready")


def _load(port, pages, assets, clients, seconds):
    """Everybody asks for one thing after the other, without a pause, each for another asset mostly."""
    took, stop = [], time.perf_counter() + seconds
    paths = [path for name, ones in pages.items() if not name.startswith("asset") for path in ones]

    def look(number):
        chance = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < stop:
            every = _of_asset(_name(chance.randrange(assets))) if chance.random() < 0.4 else paths
            path = chance.choice(every)
            took.append((_timed(port, path, connection), path))
        connection.close()

    threads = [threading.Thread(target=look, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted, times = time.perf_counter() - began, sorted(one for one, _ in took)
    slowest = [f"{path} {one * 1e3:.0f} ms" for one, path in sorted(took, reverse=True)[:5]]
    return {
        "clients": clients,
        "requests": len(times),
        "a_second": len(times) / lasted,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
        "slowest": slowest,
    }


def _memory(pid):
    """The memory of a process now and at most, in bytes."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {"now": int(found["VmRSS"].split()[0]) * 1024, "most": int(found["VmHWM"].split()[0]) * 1024}


def _table(found):
    rows = ["| page | first time | again |", "|---|---|---|"]
    for name, one in found["pages"].items():
        rows.append(f"| {name} | {one['cold'] * 1e3:,.0f} ms | {one['warm'] * 1e3:,.0f} ms |")
    load, memory = found["load"], found["memory"]
    rows += [
        "",
        f"{found['assets']:,} assets, {found['runs']:,} runs; ready after {found['ready']:.1f} s.",
        f"{load['clients']} clients without a pause: {load['a_second']:.0f} answers a second, "
        f"median {load['p50'] * 1e3:.0f} ms, 99th percentile {load['p99'] * 1e3:.0f} ms.",
        f"Memory {memory['now'] / 1e6:,.0f} MB, at most {memory['most'] / 1e6:,.0f} MB.",
        "Slowest: " + "; ".join(load["slowest"]),
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
