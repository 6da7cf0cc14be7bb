"""The commands as values: where each one lives, what it does in a line, and examples. Nothing is imported for them."""

from __future__ import annotations

from dataclasses import dataclass

PROGRAM = "headwater"
ABOUT = "Asset- and lineage-centric orchestration: what is there, how fresh it is, and where it came from."


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    group: str
    """The heading that it stands under."""
    place: str
    """Where its function is: `module:name` in `headwater.cli`."""
    help: str
    """What it does, in one line."""
    examples: tuple[str, ...] = ()
    """Command lines that show it, without the program's name."""

    @property
    def epilogue(self) -> str:
        """What stands below its help."""
        return "\n".join(("Examples:", *(f"  {PROGRAM} {example}" for example in self.examples)))


COMMANDS: dict[str, Command] = {
    "init": Command(
        group="Work", place="init:init", help="Write a starter project.", examples=("init", "init my_project")
    ),
    "run": Command(
        group="Work",
        place="start:run",
        help="Run a flow, a task or a materialization of a file.",
        examples=(
            "run flows.py",
            "run flows.py:nightly -p day=2013-01-05",
            "run flows.py:ingest --partition 2013-01-05",
        ),
    ),
    "materialize": Command(
        group="Work",
        place="work:materialize",
        help="Bring assets up to date.",
        examples=(
            "materialize delays --partition 2013-01-05",
            "materialize '+delays' --only stale --dry-run",
            "materialize 'stale()' --parallel 4",
        ),
    ),
    "backfill": Command(
        group="Work",
        place="backfills:backfill_app",
        help="Fill a range of partitions, and resume what was interrupted.",
        examples=(
            "backfill delays --from 2013-01-01 --to 2013-12-31 --upstream",
            "backfill delays --only failed",
            "backfill list",
            "backfill resume 0198a2",
        ),
    ),
    "status": Command(
        group="Look",
        place="board:status",
        help="The board of all assets, the worst first.",
        examples=("status", "status tag:tier=gold --all", "status --verdict late --as-of 2014-01-01"),
    ),
    "freshness": Command(
        group="Look",
        place="board:freshness",
        help="The freshness verdicts alone, with what holds each back.",
        examples=("freshness", "freshness --as-of 2014-01-01", "freshness delays --fail-on late"),
    ),
    "explain": Command(
        group="Look",
        place="board:explain",
        help="Why an asset or a partition is fresh or late, stale or not.",
        examples=("explain delays", "explain delays@2013-01-05"),
    ),
    "lineage": Command(
        group="Look",
        place="graph:lineage",
        help="What an asset is made of, and what is made of it.",
        examples=("lineage delays --up --columns", "lineage delays.avg_delay", "lineage delays --format mermaid"),
    ),
    "runs": Command(
        group="Look",
        place="history:runs_app",
        help="What ran; and stopping what runs.",
        examples=("runs", "runs --flow nightly --limit 5", "runs cancel 0198a2"),
    ),
    "logs": Command(
        group="Look",
        place="history:logs",
        help="What a run logged and printed.",
        examples=("logs 0198a2", "logs 0198a2 --follow", "logs 0198a2 --level WARNING"),
    ),
    "doctor": Command(
        group="Health",
        place="doctor:doctor",
        help="What is well here and what is not, and what to do.",
        examples=("doctor", "doctor --json"),
    ),
    "verify": Command(
        group="Health",
        place="health:verify",
        help="Scan journal and projection, and compare the two.",
        examples=("verify", "verify --json"),
    ),
    "rebuild": Command(
        group="Health",
        place="health:rebuild",
        help="Build the projection anew from the journal.",
        examples=("rebuild",),
    ),
    "prune": Command(
        group="Health",
        place="retention:prune",
        help="Let old logs and old detail of task runs expire.",
        examples=(
            "prune --older-than 90d --dry-run",
            "prune --older-than 90d",
            "prune --older-than 2w --logs",
        ),
    ),
    "openlineage": Command(
        group="Catalogs",
        place="",
        help="Exchange lineage with catalogs.",
        examples=("openlineage export --to events.ndjson", "openlineage status"),
    ),
    "completion": Command(
        group="Shell",
        place="completion:completion",
        help="Print the script that completes commands and names in a shell.",
        examples=("completion bash > headwater.bash", "completion zsh"),
    ),
}
"""Every command by its name, in the order of `headwater --help`."""

BACKFILL: dict[str, Command] = {
    "list": Command(
        group="Commands",
        place="backfills:backfill_list",
        help="List all backfills, the newest first.",
        examples=("backfill list",),
    ),
    "show": Command(
        group="Commands", place="backfills:backfill_show", help="Show one backfill.", examples=("backfill show 0198a2",)
    ),
    "resume": Command(
        group="Commands",
        place="backfills:backfill_resume",
        help="Finish what a backfill left, and try again what failed in it.",
        examples=("backfill resume 0198a2", "backfill resume 0198a2 --parallel 4"),
    ),
    "retry": Command(
        group="Commands",
        place="backfills:backfill_retry",
        help="Try again what failed in a backfill, and what that blocked.",
        examples=("backfill retry 0198a2",),
    ),
    "pause": Command(
        group="Commands",
        place="stopping:pause",
        help="Let a backfill finish what runs, and launch nothing more.",
        examples=("backfill pause 0198a2",),
    ),
    "cancel": Command(
        group="Commands",
        place="stopping:cancel",
        help="Stop a backfill; what it has made stays.",
        examples=("backfill cancel 0198a2",),
    ),
}
"""The commands under `backfill`."""

RUNS: dict[str, Command] = {
    "cancel": Command(
        group="Commands",
        place="cancelling:cancel",
        help="Stop a run, from wherever on its machine.",
        examples=("runs cancel 0198a2", "runs cancel 0198a2 --wait 60"),
    ),
}
"""The commands under `runs`."""

OPENLINEAGE: dict[str, Command] = {
    "export": Command(
        group="Commands",
        place="catalogs:export",
        help="Deliver the journal's events as OpenLineage.",
        examples=("openlineage export", "openlineage export --to events.ndjson", "openlineage export --follow"),
    ),
    "status": Command(
        group="Commands",
        place="catalogs:status",
        help="How far each destination is.",
        examples=("openlineage status",),
    ),
    "dead": Command(
        group="Commands",
        place="catalogs:dead",
        help="What a destination refused for good, and why.",
        examples=("openlineage dead", "openlineage dead --json"),
    ),
    "replay": Command(
        group="Commands",
        place="catalogs:replay",
        help="Deliver the dead letters again, or what was delivered before.",
        examples=(
            "openlineage replay",
            "openlineage replay --since 2013-01-05",
            "openlineage replay --all --to marquez",
        ),
    ),
}
"""The commands under `openlineage`."""


def overview() -> str:
    """What `headwater --help` prints: every command under its heading."""
    lines = [f"Usage: {PROGRAM} COMMAND [OPTIONS]", "", *ABOUT.replace(": ", ":\n").splitlines()]
    width = max(map(len, COMMANDS)) + 2
    group = ""
    for name, command in COMMANDS.items():
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {name:<{width}}{command.help}")
    lines += ["", "Every command takes --json (one document on standard output) and --debug."]
    lines += ["", "Examples:", *(f"  {PROGRAM} {COMMANDS[name].examples[place]}" for name, place in _FIRST)]
    lines += ["", f"{PROGRAM} COMMAND --help explains a command and shows more examples."]
    return "\n".join(lines)


_FIRST = (("init", 0), ("status", 0), ("materialize", 1), ("backfill", 0), ("explain", 1))
"""Which examples a newcomer sees."""
