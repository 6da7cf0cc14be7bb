"""Defining a graph of `count` assets and loading it: the module's import, and the graph in order with its definitions."""

from pathlib import Path

import big_graph
from common import Stopwatch, main, say


def headwater(count):
    """What `headwater status` does before it asks what is in place."""
    import headwater  # noqa: F401
    from headwater.assets.dependencies import topological
    from headwater.core import runtime
    from headwater.loading import load_modules
    from headwater.project import Project

    big_graph.write(count, "headwater")
    run = Project.open()
    runtime.set_current(run)
    with Stopwatch() as importing:
        load_modules(["big_graph_assets"], Path.cwd())
    with Stopwatch() as building:
        definitions = run.definitions.all()
        order = topological(definitions)
    _say(importing, building, len(order))


def dagster(count):
    """`Definitions`, its repository, and its asset graph in order."""
    from dagster import AssetsDefinition, Definitions

    big_graph.write(count, "dagster")
    with Stopwatch() as importing:
        module = big_graph.load()
    assets = [one for one in vars(module).values() if isinstance(one, AssetsDefinition)]
    with Stopwatch() as building:
        graph = Definitions(assets=assets).get_repository_def().asset_graph
        order = [key for level in graph.toposorted_asset_keys_by_level for key in level]
    _say(importing, building, len(order))


def _say(importing, building, count):
    say(
        f"{count:,} assets in order; nothing is recorded",
        cpu_ms=importing.cpu_ms + building.cpu_ms,
        wall_ms=importing.wall_ms + building.wall_ms,
        import_cpu_ms=importing.cpu_ms,
        build_cpu_ms=building.cpu_ms,
    )


if __name__ == "__main__":
    main(headwater, dagster)
