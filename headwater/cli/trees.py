"""Commands that have others under them. A command's module is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cyclopts import App, Group

from headwater.cli.commands import COMMANDS, Command


def tree(name: str, under: Mapping[str, Command], default: Callable[..., int] | None = None) -> App:
    """A command with those under it; without a `default` it does nothing by itself but print help."""
    app = App(name=name, help=COMMANDS[name].help, help_epilogue=COMMANDS[name].epilogue)
    if default is not None:
        app.default(default)
    for inner, command in under.items():
        add(app, inner, command)
    return app


def add(app: App, name: str, command: Command, group: Group | None = None) -> None:
    """Put a command under another one, or under the program."""
    # A command that is a tree of its own brings its epilogue along.
    more = {} if command.place.endswith("_app") else {"help_epilogue": command.epilogue}
    app.command(f"headwater.cli.{command.place}", name=name, help=command.help, group=group, **more)
