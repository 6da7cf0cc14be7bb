"""The commands as values: where each one lives, what it does in a line, and examples. Nothing is imported for them."""

from __future__ import annotations

from headwater.records import dataclass

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
    "partitions": Command(
        group="Work",
        place="partitions:partitions_app",
        help="Dynamic partitions: what there is, adding and removing.",
        examples=("partitions list", "partitions add customers acme zeta", "partitions remove customers zeta"),
    ),
    "observe": Command(
        group="Work",
        place="observing:observe",
        help="Look at sources, as their observers do.",
        examples=("observe", "observe 'kind:csv' --parallel 2"),
    ),
    "retire": Command(
        group="Work",
        place="retiring:retire",
        help="Take an asset off the board; its history stays.",
        examples=("retire delays_old",),
    ),
    "check": Command(
        group="Work",
        place="checks:check",
        help="Ask the checks of an asset about what is in place.",
        examples=("check delays", "check delays@2013-01-05"),
    ),
    "status": Command(
        group="Look",
        place="board:status",
        help="The board of all assets, the worst first.",
        examples=(
            "status",
            "status tag:tier=gold --all",
            "status --by owner",
            "status --verdict late --as-of 2014-01-01",
        ),
    ),
    "assets": Command(
        group="Look",
        place="assets:assets",
        help="What is defined: places, partitions, inputs, owners, code.",
        examples=("assets", "assets delays", "assets delays --history", "assets owner:team:ops --json"),
    ),
    "freshness": Command(
        group="Look",
        place="board:freshness",
        help="The freshness verdicts alone, with what holds each back.",
        examples=(
            "freshness",
            "freshness --as-of 2014-01-01",
            "freshness delays --fail-on late",
            "freshness delays --partitions",
            "freshness --history",
        ),
    ),
    "checks": Command(
        group="Look",
        place="checks:checks",
        help="What the checks of assets said, those that fail first.",
        examples=("checks", "checks --failed", "checks delays --history --limit 20"),
    ),
    "explain": Command(
        group="Look",
        place="board:explain",
        help="Why an asset is fresh or stale; why a task run was cached.",
        examples=("explain delays", "explain delays@2013-01-05", "explain 0198a2/fetch"),
    ),
    "lineage": Command(
        group="Look",
        place="graph:lineage_app",
        help="What an asset is made of, and what is made of it.",
        examples=(
            "lineage delays --up --columns",
            "lineage delays.avg_delay",
            "lineage delays --format svg > delays.svg",
            "lineage impact flights.dep_delay",
        ),
    ),
    "tags": Command(
        group="Look",
        place="tags:tags",
        help="Which columns carry a tag, and by which way it came.",
        examples=("tags", "tags --tag pii", "tags --since 2013-01-05"),
    ),
    "runs": Command(
        group="Look",
        place="history:runs_app",
        help="What ran; stopping what runs, and resuming what ended early.",
        examples=("runs", "runs --flow nightly --state failed", "runs show 0198a2", "runs resume 0198a2"),
    ),
    "logs": Command(
        group="Look",
        place="history:logs",
        help="What a run logged and printed.",
        examples=("logs 0198a2", "logs 0198a2 --follow", "logs 0198a2 --level WARNING"),
    ),
    "requests": Command(
        group="Look",
        place="requests:requests_app",
        help="What was asked of the server, and taking it back.",
        examples=("requests", "requests --open --limit 500", "requests cancel 0198a2c4-3d1f-7e14-98b7-daa4509e695c"),
    ),
    "limits": Command(
        group="Look",
        place="limits:limits",
        help="Limits, who holds their slots, and how many wait.",
        examples=("limits", "limits --json"),
    ),
    "audit": Command(
        group="Look",
        place="audit:audit",
        help="Who asked for what, who was let in, and who was refused.",
        examples=("audit", "audit --limit 10 --json"),
    ),
    "serve": Command(
        group="Serve",
        place="serving:serve",
        help="The server: API, live updates, metrics, deliveries to catalogs.",
        examples=("serve", "serve --run --port 8421", "serve --insecure-local"),
    ),
    "worker": Command(
        group="Serve",
        place="serving:worker",
        help="Start the work that is asked of the server.",
        examples=("worker", "worker -f flows.py", "worker --limit 4"),
    ),
    "token": Command(
        group="Serve",
        place="tokens:token_app",
        help="Tokens: who may ask the server for what.",
        examples=("token create --scope read --name grafana", "token list", "token revoke grafana"),
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
    "cache": Command(
        group="Health",
        place="caches:cache_app",
        help="Which results of tasks are kept, and letting them go.",
        examples=("cache list", "cache clear", "cache clear --older-than 90d --dry-run"),
    ),
    "openlineage": Command(
        group="Catalogs",
        place="catalogs:openlineage_app",
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
        help="List the backfills, the newest first.",
        examples=("backfill list", "backfill list --limit 500"),
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
    "show": Command(
        group="Commands",
        place="one_run:show",
        help="What came of a run: its error, its task runs, and what it made.",
        examples=("runs show 0198a2", "runs show 0198a2 --state failed"),
    ),
    "cancel": Command(
        group="Commands",
        place="cancelling:cancel",
        help="Stop a run, from wherever on its machine.",
        examples=("runs cancel 0198a2", "runs cancel 0198a2 --wait 60"),
    ),
    "resume": Command(
        group="Commands",
        place="resuming:resume",
        help="Go on with a run that ended early: what completed in it is not done again.",
        examples=(
            "runs resume 0198a2",
            "runs resume 0198a2 --dry-run",
            "runs resume 0198a2 -p token=… -f flows.py:nightly",
        ),
    ),
    "retry": Command(
        group="Commands",
        place="resuming:retry",
        help="Do part of a run again: a task, and what may have used its result.",
        examples=("runs retry 0198a2 --from load", "runs retry 0198a2 --from load --dry-run"),
    ),
}
"""The commands under `runs`."""

REQUESTS: dict[str, Command] = {
    "cancel": Command(
        group="Commands",
        place="requests:cancel",
        help="Take back what was asked for, before its run has begun.",
        examples=("requests cancel 0198a2c4-3d1f-7e14-98b7-daa4509e695c",),
    ),
}
"""The commands under `requests`."""

CACHE: dict[str, Command] = {
    "list": Command(
        group="Commands",
        place="caches:cache_list",
        help="List the results that are kept, the newest first.",
        examples=("cache list", "cache list fetch"),
    ),
    "clear": Command(
        group="Commands",
        place="caches:cache_clear",
        help="Let kept results go that have expired, or more.",
        examples=("cache clear", "cache clear fetch --all", "cache clear --older-than 90d --dry-run"),
    ),
}
"""The commands under `cache`."""

LINEAGE: dict[str, Command] = {
    "impact": Command(
        group="Commands",
        place="impact:lineage_impact",
        help="What it does to drop, rename or retype a column or an asset.",
        examples=("lineage impact flights.dep_delay", "lineage impact flights.dep_delay --change retype"),
    ),
    "path": Command(
        group="Commands",
        place="graph:lineage_path",
        help="By which way one asset or column comes to another.",
        examples=("lineage path flights_csv route_risk", "lineage path flights.dep_delay route_risk.risk"),
    ),
    "diff": Command(
        group="Commands",
        place="impact:lineage_diff",
        help="What differs between two runs, or between two moments.",
        examples=("lineage diff 0198a2 0198b7", "lineage diff 2013-01-01 now"),
    ),
}
"""The commands under `lineage`."""

TOKENS: dict[str, Command] = {
    "create": Command(
        group="Commands",
        place="tokens:create",
        help="Make a token, and print it: it is shown this once.",
        examples=("token create", "token create --scope run --name ci --expires 90d"),
    ),
    "list": Command(
        group="Commands", place="tokens:list_", help="List the tokens, without what they are.", examples=("token list",)
    ),
    "revoke": Command(
        group="Commands",
        place="tokens:revoke",
        help="Revoke a token: whoever uses it is refused from now on.",
        examples=("token revoke ci",),
    ),
}
"""The commands under `token`."""

PARTITIONS: dict[str, Command] = {
    "list": Command(
        group="Commands",
        place="partitions:partitions_list",
        help="List the dynamic partitions of a name, or all names.",
        examples=("partitions list", "partitions list customers"),
    ),
    "add": Command(
        group="Commands",
        place="partitions:partitions_add",
        help="Add keys to a list of dynamic partitions.",
        examples=("partitions add customers acme zeta",),
    ),
    "remove": Command(
        group="Commands",
        place="partitions:partitions_remove",
        help="Remove keys from a list of dynamic partitions.",
        examples=("partitions remove customers zeta",),
    ),
}
"""The commands under `partitions`."""

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
