"""`retire`: an asset leaves the board, and its history stays."""

from __future__ import annotations

from dataclasses import replace

from headwater.assets.definition_json import definition_hash, definition_to_json
from headwater.assets.definitions import AssetDefinition
from headwater.assets.events import AssetDefined
from headwater.cli.common import open_project
from headwater.cli.options import COMMON, WHERE, Common, Selection, Where
from headwater.cli.output import emit
from headwater.errors import UnknownNameError, UsageError
from headwater.wording import command


def retire(name: Selection, /, *, common: Common = COMMON, where: Where = WHERE) -> int:
    """Take an asset that nothing defines any more off the board and out of selections; its history stays.

    An asset that is still defined is retired in its definition: Asset(…, retired=True). One that is defined again later is
    back.

    Parameters
    ----------
    name
        The asset.
    """
    project = open_project(where, writes=True)
    known = project.catalog.definitions()
    if name not in known:
        raise UnknownNameError.of("asset", name, known)
    if name in project.definitions.all():
        raise UsageError(
            f"'{name}' is defined in the modules that are loaded",
            hint="write Asset(…, retired=True), or remove it there",
        )
    found = known[name]
    if not found.retired:
        project.journal.append(_retired(project.project, found))
    text = f"retired {name}: its history stays, see {command('explain', name)}"
    emit({"retired": name}, common.json, lambda: text)
    return 0


def _retired(project: str, definition: AssetDefinition) -> AssetDefined:
    value = definition_to_json(replace(definition, retired=True))
    return AssetDefined(asset=definition.ref, hash=definition_hash(value), project=project, definition=value)
