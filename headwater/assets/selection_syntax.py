"""The syntax of selections: text to words, words to a frozen tree.

    selection = conjunction ("or" conjunction)*
    conjunction = negation ("and" negation)*
    negation = "not" negation | traversal
    traversal = [depth] "+" atom ["+" [depth]] | atom ["+" [depth]]
    atom = "*" | question "()" | "tag:" key ["=" value] | "owner:" name | "kind:" name | "group:" name | name
         | "(" selection ")"
    question = "stale" | "late" | "failed"

There is no space around the "+", and a number before it is a depth. Names may stand in quotes (`"` or `'`; a backslash
takes the next letter as it is). A `*` in a word, outside quotes, stands for any letters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NoReturn, TypeAlias

from headwater.errors import UsageError
from headwater.records import dataclass
from headwater.wording import command

QUESTIONS = ("stale", "late", "failed")
"""What may be asked of each asset."""
ANY = "\uffff"
"""Stands in a text for a `*` that means any letters: no name holds it."""
_DEEPEST = 50
"""How deep parentheses and `not` may nest: far more than anyone writes, far less than Python's stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """`*`: all assets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An asset's name, and where it stands in the text."""

    name: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """`tag:key` (value None: whatever the value is) or `tag:key=value`."""

    key: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """`owner:name`."""

    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKind:
    """`kind:scheme`."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfGroup:
    """`group:name`."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`stale()` or another of `QUESTIONS`, and where it stands in the text."""

    question: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """All assets but these."""

    term: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """The assets in every one of these."""

    terms: tuple[Selection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """The assets in any of these."""

    terms: tuple[Selection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """These, and what they are made of, at most `depth` steps away."""

    term: Selection
    depth: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Downstream:
    """These, and what is made of them, at most `depth` steps away."""

    term: Selection
    depth: int | None


Leaf: TypeAlias = Every | Named | Tagged | Owned | OfKind | OfGroup | Asked
Selection: TypeAlias = Leaf | Not | And | Or | Upstream | Downstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A piece of a selection: one of `( ) + *`, a word, or the end (kind "end")."""

    kind: str
    text: str
    start: int
    end: int
    quoted: bool = False


def parse_selection(text: str) -> Selection:
    """The tree of a selection; a UsageError says what can't be read, and where.

    >>> parse_selection("+delays")
    Upstream(term=Named(name='delays', position=1), depth=None)
    """
    return _Parser(text).parse()


def quoted(name: str) -> str:
    """A name as it can stand in a selection: in quotes if it needs them.

    >>> quoted("delays"), quoted("late flights")
    ('delays', '"late flights"')
    """
    plain = name and not any(letter.isspace() or letter in "()+*\"'\\:" for letter in name)
    if plain and name not in ("and", "or", "not") and not name.isdecimal():
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def making(name: str, partition: str | None = None) -> str:
    """The command that makes an asset, or one partition of it, as it can be pasted into a shell.

    `partition` is written as among others (`PartitionsDefinition.write`), for the command reads a set of them.

    >>> making("delays", "2013-01-05")
    'headwater materialize delays --partition 2013-01-05'
    >>> print(making("late flights", "a%2Cb"))
    headwater materialize '"late flights"' --partition a%2Cb
    """
    return command("materialize", quoted(name), partition=partition)


def _words(text: str) -> Iterator[Word]:
    at = 0
    while at < len(text):
        letter = text[at]
        if letter.isspace():
            at += 1
        elif letter in "()+" or (letter == "*" and _is_alone(text, at)):
            yield Word(kind=letter, text=letter, start=at, end=at + 1)
            at += 1
        else:
            word = _word(text, at)
            yield word
            at = word.end
    yield Word(kind="end", text="the end", start=len(text), end=len(text))


def _is_alone(text: str, at: int) -> bool:
    """Whether a `*` is a word by itself."""
    return at + 1 == len(text) or text[at + 1].isspace() or text[at + 1] in "()+"


def _word(text: str, start: int) -> Word:
    """The word at `start`: plain letters and quoted pieces, up to a space or one of `( ) +`."""
    found: list[str] = []
    at = start
    while at < len(text) and not (text[at].isspace() or text[at] in "()+"):
        if text[at] in "\"'":
            piece, at = _quotation(text, at)
            found.append(piece)
        else:
            found.append(ANY if text[at] == "*" else text[at])
            at += 1
    return Word(kind="word", text="".join(found), start=start, end=at, quoted=text[start] in "\"'")


def _quotation(text: str, start: int) -> tuple[str, int]:
    found: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != text[start]:
        at += text[at] == "\\" and at + 1 < len(text)
        found.append(text[at])
        at += 1
    if at >= len(text):
        raise UsageError("a quotation mark is not closed", where=place(start), hint=f"close it with {text[start]}")
    return "".join(found), at + 1


def place(position: int) -> str:
    """Where in a selection something stands, for people."""
    return f"the selection, character {position + 1}"


class _Parser:
    """Recursive descent over the words of one selection."""

    def __init__(self, text: str) -> None:
        self._words = tuple(_words(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Selection:
        if self._next.kind == "end":
            raise UsageError("the selection is empty", hint="write an asset's name, or * for all")
        found = self._either()
        if self._next.kind != "end":
            self._unexpected("'and', 'or' or the end")
        return found

    @property
    def _next(self) -> Word:
        return self._words[self._at]

    def _take(self) -> Word:
        self._at += 1
        return self._words[self._at - 1]

    def _keyword(self, keyword: str) -> bool:
        word = self._next
        found = word.kind == "word" and word.text == keyword and not word.quoted
        self._at += found
        return found

    def _either(self) -> Selection:
        terms = [self._both()]
        while self._keyword("or"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else Or(terms=tuple(terms))

    def _both(self) -> Selection:
        terms = [self._negation()]
        while self._keyword("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else And(terms=tuple(terms))

    def _negation(self) -> Selection:
        if not self._keyword("not"):
            return self._traversal()
        self._descend()
        found = Not(term=self._negation())
        self._depth -= 1
        return found

    def _traversal(self) -> Selection:
        up, depth_up = self._upstream()
        term = self._atom()
        down, depth_down = self._downstream()
        wider = [Upstream(term=term, depth=depth_up)] if up else []
        further = [Downstream(term=term, depth=depth_down)] if down else []
        if up and down:
            return Or(terms=(*wider, *further))
        return (*wider, *further, term)[0]

    def _upstream(self) -> tuple[bool, int | None]:
        """A `+` or `2+` that stands right before something."""
        depth = None
        if self._number(self._next) and self._touching(2) and self._words[self._at + 1].kind == "+":
            depth = int(self._take().text)
        if self._next.kind != "+":
            return False, None
        plus = self._take()
        if self._next.start != plus.end or self._next.kind == "end":
            self._misplaced(plus)
        return True, depth

    def _downstream(self) -> tuple[bool, int | None]:
        """A `+` or `+2` that stands right behind something."""
        if self._next.kind != "+":
            return False, None
        if self._next.start != self._words[self._at - 1].end:
            self._misplaced(self._next)
        plus = self._take()
        if self._next.start == plus.end and self._number(self._next):
            return True, int(self._take().text)
        return True, None

    def _number(self, word: Word) -> bool:
        return word.kind == "word" and not word.quoted and re.fullmatch("[0-9]{1,9}", word.text) is not None

    def _touching(self, count: int) -> bool:
        """Whether the next word and so many behind it stand without a space, and none of them is the end."""
        words = self._words[self._at : self._at + count + 1]
        close = all(left.end == right.start for left, right in pairwise(words))
        return close and len(words) == count + 1 and words[-1].kind not in ("end", ")")

    def _atom(self) -> Selection:
        word = self._next
        if word.kind == "*":
            self._take()
            return Every()
        if word.kind == "(":
            return self._group()
        if word.kind != "word" or (not word.quoted and word.text in ("and", "or", "not")):
            self._unexpected("an asset's name")
        self._take()
        if not word.quoted and self._next.kind == "(" and self._next.start == word.end:
            return self._call(word)
        return self._attribute(word) or Named(name=word.text, position=word.start)

    def _group(self) -> Selection:
        opened = self._take()
        self._descend()
        found = self._either()
        if self._next.kind == "end":
            raise UsageError("a parenthesis is not closed", where=place(opened.start), hint="close it with )")
        if self._next.kind != ")":
            self._unexpected("'and', 'or' or ')'")
        self._take()
        self._depth -= 1
        return found

    def _call(self, word: Word) -> Selection:
        if word.text not in QUESTIONS:
            near = difflib.get_close_matches(word.text, QUESTIONS, n=1, cutoff=0.5)
            there = ", ".join(f"{one}()" for one in QUESTIONS)
            raise UsageError(
                f"there is no {shown(word.text)}() in selections",
                where=place(word.start),
                hint=f"did you mean {near[0]}()?" if near else f"there is {there}; join names with and, or, not",
            )
        self._take()
        if self._next.kind != ")":
            self._unexpected(f"')', as {word.text}() takes nothing")
        self._take()
        return Asked(question=word.text, position=word.start)

    def _attribute(self, word: Word) -> Selection | None:
        kind, colon, value = word.text.partition(":")
        if word.quoted or not colon or kind not in _EXAMPLES:
            return None
        if not value:
            raise UsageError(f"{kind}: names nothing", where=place(word.start), hint=_EXAMPLES[kind])
        if kind in _OF:
            return _OF[kind](value)
        key, equals, wanted = value.partition("=")
        return Tagged(key=key, value=wanted if equals else None)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UsageError(
                f"the selection nests more than {_DEEPEST} deep", where=place(self._next.start), hint="simplify it"
            )

    def _misplaced(self, plus: Word) -> NoReturn:
        raise UsageError(
            "a '+' touches no name",
            where=place(plus.start),
            hint="+name is what it is made of, name+ is what is made of it; join names with and, or, not",
        )

    def _unexpected(self, expected: str) -> NoReturn:
        word = self._next
        text = word.text if word.kind == "end" else ascii(shown(word.text)[:40])
        hint = "join names with and, or, not"
        if word.kind == "word" and word.text not in ("and", "or", "not"):
            hint += "; a name with a space stands in quotes of its own: '\"my name\"'"
        raise UsageError(f"{text} stands where {expected} should", where=place(word.start), hint=hint)


def shown(text: str) -> str:
    """A word as it was written."""
    return text.replace(ANY, "*")


_EXAMPLES = {
    "tag": "write tag:tier=gold, or tag:tier",
    "owner": "write owner:team:ops",
    "kind": "write kind:parquet",
    "group": "write group:finance",
}
_OF: dict[str, Callable[[str], Selection]] = {
    "owner": lambda owner: Owned(owner=owner),
    "kind": lambda kind: OfKind(kind=kind),
    "group": lambda group: OfGroup(group=group),
}
