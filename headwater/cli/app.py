"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import difflib
import signal
import traceback
from typing import TYPE_CHECKING

import cyclopts

import headwater
from headwater.cli.commands import ABOUT, COMMANDS, PROGRAM, RUNS
from headwater.cli.long_work import Shown
from headwater.cli.output import reserving, say, show_error
from headwater.cli.trees import add
from headwater.core.long_work import heard_by
from headwater.core.signals import is_ctrl_c
from headwater.errors import Cancelled, HeadwaterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    with reserving(as_json), heard_by(Shown().tell):
        try:
            _check_text(arguments)
            code = build()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        except (KeyboardInterrupt, Cancelled) as error:
            return _stopped(error, as_json)
        except SystemExit as error:
            # User code ends the process, with a code of its own.
            if as_json:
                show_error(_left(error), as_json)
            raise
        except BaseException as error:  # noqa: BLE001 - the one place where errors become messages; an engine's panic is one, too
            if is_ctrl_c(error):
                return _stopped(error, as_json)
            if debug:
                traceback.print_exception(error)
            found = _explained(error)
            show_error(found, as_json)
            return found.exit_code
    return code if isinstance(code, int) else 0


def _stopped(error: BaseException, as_json: bool) -> int:
    say("cancelled")
    if as_json:
        show_error(_cancelled(), as_json)
    return 128 + (signal.SIGTERM if isinstance(error, SystemExit) else signal.SIGINT)


def _left(error: SystemExit) -> HeadwaterError:
    what = (
        error.code if isinstance(error.code, str) else f"code of the project ended the command: sys.exit({error.code})"
    )
    return HeadwaterError(what, hint="headwater runs shows what became of its run")


def _check_text(arguments: Sequence[str]) -> None:
    # Bytes that are no text in the shell's encoding arrive as halves of characters, which nothing can store or print.
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"an argument is no text: {argument[:80]!a}", hint="write it in UTF-8")


def _cancelled() -> HeadwaterError:
    error = HeadwaterError("the command was cancelled", hint="what it had begun is recorded: see headwater runs")
    error.kind = "cancelled"
    return error


def _explained(error: BaseException) -> HeadwaterError:
    if isinstance(error, HeadwaterError):
        return error
    if isinstance(error, cyclopts.CycloptsError):
        if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
            return _too_many(error, error.unused_tokens[0])
        if isinstance(error, cyclopts.MissingArgumentError) and (found := _after(error)):
            return UsageError(
                f"{error.keyword} needs a value, and '{found}' begins with a hyphen, as options do",
                hint=f"where that is its value: {error.keyword}={found}",
            )
        command = " ".join((PROGRAM, *(error.command_chain or ())))
        hint = f"{command} --help says what it takes"
        if command == PROGRAM:
            hint = f"{PROGRAM} --help lists the commands, {PROGRAM} COMMAND --help explains one"
        if isinstance(error, cyclopts.UnknownCommandError) and (first := (error.unused_tokens or [""])[0])[:1] == "-":
            return UsageError(
                f"the option {first} stands where a command should",
                hint=f"options stand behind it: {PROGRAM} COMMAND {first} …; {PROGRAM} --help lists the commands",
            )
        if isinstance(error, cyclopts.UnknownOptionError) and tuple(error.command_chain or ()) == ("run",):
            name = (error.token.keyword or "").lstrip("-").replace("-", "_")
            hint = f"a parameter is given by -p: -p {name or 'name'}=…; headwater run --help lists the options"
        return UsageError(" ".join(str(error).split()), hint=hint)
    return HeadwaterError(f"{type(error).__name__}: {error}", hint="--debug gives the traceback")


def _after(error: cyclopts.MissingArgumentError) -> str | None:
    """What follows the option that has no value."""
    tokens = [*(error.unused_tokens or ()), None]
    found = tokens[tokens.index(error.keyword) + 1] if error.keyword in tokens[:-1] else None
    return None if found == "--" else found


def _too_many(error: cyclopts.CycloptsError, argument: str) -> UsageError:
    command = tuple(error.command_chain or ())
    near = difflib.get_close_matches(argument, RUNS, n=1) if command == ("runs",) else []
    if near:
        hint = f"did you mean {PROGRAM} runs {near[0]}?"
    elif "=" in argument and command[:1] in (("run",), ("runs",)):
        hint = f"a parameter is given by -p: -p {argument}"
    elif "selection" in getattr(error.target, "__annotations__", ()):
        told = "…" if argument in ("and", "or", "not") else f"… or {argument}"
        shown = " ".join((PROGRAM, *command, f"'{told}'"))
        hint = f"several assets, or what holds a *, are one selection in quotes: {shown}"
    else:
        shown = " ".join((PROGRAM, *command, "--help"))
        hint = f"{shown} says what it takes; what holds spaces or * stands in quotes"
    return UsageError(f"'{argument}' is one argument too many", hint=hint)


def build() -> cyclopts.App:
    """The command tree. Nothing but names and help is made here; a command's module is imported when it is called."""
    app = cyclopts.App(
        name=PROGRAM,
        help=ABOUT,
        version=headwater.__version__,
        suppress_keyboard_interrupt=False,
        # Markdown, and the highlighting that comes with it, would double the time that help takes.
        help_format="plaintext",
    )
    order = dict.fromkeys(command.group for command in COMMANDS.values())
    groups = {name: cyclopts.Group(name, sort_key=place) for place, name in enumerate(order)}
    for name, command in COMMANDS.items():
        add(app, name, command, groups[command.group])
    return app
