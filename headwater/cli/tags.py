"""`tags`: which columns carry a tag, and by which way it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater import clock
from headwater.cli.board import chosen, facts_for
from headwater.cli.common import moment, open_project
from headwater.cli.options import COMMON, WHERE, Common, Selection, Where
from headwater.cli.output import emit
from headwater.cli.tables import table
from headwater.lineage.names import split_column_id

if TYPE_CHECKING:
    from headwater.lineage.tags import ColumnTag, Tags


def tags(
    selection: Selection = "*",
    /,
    *,
    tag: str | None = None,
    since: str | None = None,
    as_of: str | None = None,
    common: Common = COMMON,
    where: Where = WHERE,
) -> int:
    """Print the columns that carry a tag: as declared, or because they are made of such a column.

    Parameters
    ----------
    selection
        Of which assets.
    tag
        Only this tag.
    since
        Also which columns gained or lost a tag since then.
    as_of
        As it was known then.
    """
    from headwater.lineage.questions import Questions
    from headwater.lineage.tags import Tags

    project = open_project(where)
    questions, now = Questions(project.projection), moment(as_of)
    earlier = None if since is None else moment(since, "--since")
    with project.recorded():
        names = (
            None if selection == "*" else set(chosen(facts_for(project.catalog, selection), selection, clock.now_us()))
        )
        found = questions.tags(now)
        before = None if earlier is None else questions.tags(earlier)

    def is_meant(asset: str, of: str) -> bool:
        return (names is None or asset in names) and tag in (None, of)

    def wanted(one: ColumnTag) -> bool:
        return is_meant(one.asset, one.tag)

    shown = Tags(
        columns=tuple(filter(wanted, found.columns)),
        masked=tuple(one for one in found.masked if is_meant((split_column_id(one[0]) or one)[0], one[1])),
    )
    value: dict[str, Any] = {"as_of": clock.rfc3339(now), **shown.to_json()}
    gained: tuple[ColumnTag, ...] = ()
    lost: tuple[ColumnTag, ...] = ()
    if before is not None:
        gained, lost = (tuple(filter(wanted, some)) for some in found.since(before))
        value |= {"gained": [one.to_json() for one in gained], "lost": [one.to_json() for one in lost]}
    emit(value, common.json, lambda: _text(shown, gained, lost, tag))
    return 0


def _text(found: Tags, gained: tuple[ColumnTag, ...], lost: tuple[ColumnTag, ...], tag: str | None) -> str:
    rows = [(one.id, one.tag, one.origin, " → ".join(one.path[:-1])) for one in found.columns]
    parts = [table(("column", "tag", "known", "from"), rows, spare=("from", "known"))] if rows else []
    parts += ["\n".join(f"masked: {tag} of {source} in {column}" for column, tag, source in found.masked)]
    parts += ["\n".join(f"gained: {one.id} {one.tag} ({one.origin})" for one in gained)]
    parts += ["\n".join(f"lost: {one.id} {one.tag}" for one in lost)]
    which = "a tag" if tag is None else f"the tag '{tag}'"
    return "\n\n".join(part for part in parts if part) or f"no column carries {which}"
