"""What a statement of DuckDB's does to the tables of its connection, told as queries over the tables as they were before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from headwater.assets.sql import quoted
from headwater.records import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """A table or view that is all that its query gives, column by column; without a query it is made of nothing.

    The query of a `view` reads what its tables hold when the view is read.
    """

    table: str
    query: str | None = None
    view: bool = False
    if_missing: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """A table that holds what it held, and what these queries give for its columns of the same names.

    Which rows there are, and which of them have a new value, depends on the rows of the queries.
    """

    table: str
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Tables and views that are no more."""

    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renamed:
    """A table that has another name now."""

    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction begins, or ends."""

    word: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No table is another one than before."""


Effect: TypeAlias = Made | Changed | Dropped | Renamed | Transaction | Nothing

_TRANSACTIONS = {"BEGIN": "BEGIN", "START": "BEGIN", "COMMIT": "COMMIT", "END": "COMMIT"}
_TRANSACTIONS |= {"ROLLBACK": "ROLLBACK", "ABORT": "ROLLBACK"}
_READS = frozenset({"SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "(", "SUMMARIZE", "DESCRIBE"})
_HARMLESS = frozenset({"DESC", "SHOW", "ANALYZE", "VACUUM", "CHECKPOINT", "RESET", "INSTALL", "LOAD"})
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "TRUNCATE"})
_PARSED = _CHANGES | {"WITH", "ALTER", "DROP", "COPY", "COMMENT"}
_CREATED = frozenset({"TABLE", "VIEW", "INDEX", "UNIQUE", "SEQUENCE"})
_NO_COLUMN = frozenset({"COLUMN", "TO", "CONSTRAINT", "NOT", "DEFAULT"})
_QUERY = "query"
"""The mark on a CREATE that has the text of its query."""
_SCOPES = frozenset({"GLOBAL", "SESSION", "LOCAL"})
_ELSEWHERE = frozenset({"SCHEMA", "SEARCH_PATH", "VARIABLE"})
"""What can be set that decides which table a name means, or holds data itself."""
_PREFIXES = frozenset({(), ("main",), ("memory",), ("temp",), ("memory", "main"), ("temp", "main")})
"""Where a table of a connection in memory is that goes by its name alone."""
_CONSTRAINTS = (
    exp.CheckColumnConstraint,
    exp.CollateColumnConstraint,
    exp.DefaultColumnConstraint,
    exp.NotNullColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.Reference,
    exp.UniqueColumnConstraint,
)
"""Of a column in CREATE TABLE: none makes it of another one."""


class _Unknown(Exception):
    """The statement has a part that is not understood."""


def table_of(statement: str) -> str | None:
    """The table or view that a statement makes or changes, as it is called afterwards; None of any other statement.

    >>> table_of('CREATE TEMP TABLE "Large" AS FROM orders'), table_of("DROP TABLE large")
    ('large', None)
    """
    tree = _tree(statement)
    if not isinstance(tree, (exp.Create, exp.Alter, exp.DML)):
        return None
    if isinstance(tree, exp.Create) and tree.args["kind"] not in ("TABLE", "VIEW"):
        return None
    renamed = tree.find(exp.AlterRename)
    try:
        return _name(renamed.this if renamed else _table(tree))
    except _Unknown:
        return None


def effect_of(statement: str, columns: Sequence[str]) -> Effect | None:
    """What a statement did, which left its table with these columns; None when that is not understood.

    >>> effect_of("UPDATE orders SET amount = amount + tax WHERE id > 7", ["id", "amount", "tax"]).queries
    ('SELECT * FROM (SELECT amount + tax FROM orders WHERE id > 7) AS headwater_new("amount")',)
    """
    words = _words(statement)
    first = words[0] if words else ""
    if first in _TRANSACTIONS:
        return Transaction(_TRANSACTIONS[first])
    if first == "EXPLAIN":
        # With ANALYZE, which options in parentheses can say, too, the statement is executed.
        return Nothing() if words[1:2] not in (["ANALYZE"], ["("]) or not _CHANGES & set(words) else None
    if not words or first in _HARMLESS or (first in _READS and not _CHANGES & set(words)):
        return Nothing()
    if first in ("SET", "PRAGMA"):
        named = next((word for word in words[1:] if word not in _SCOPES), "")
        return None if named in _ELSEWHERE or "(" in words[:3] else Nothing()
    tree = _tree(statement)
    try:
        return None if tree is None else _Reader(tree, columns).effect()
    except _Unknown:
        return None


def _words(statement: str) -> list[str]:
    """The words of a statement, without comments; texts and quoted names as they are written."""
    try:
        tokens = sqlglot.tokenize(statement, read="duckdb")
    except SqlglotError:
        return ["?"]
    if tokens and tokens[0].text.upper() == "EXPLAIN":  # sqlglot takes all that follows for one text
        return ["EXPLAIN", *_words(statement[tokens[0].end + 1 :])]
    return [token.text.upper() for token in tokens if token.token_type.name != "SEMICOLON"]


@lru_cache(maxsize=32)
def _tree(statement: str) -> exp.Expr | None:
    """The statement as sqlglot reads it, if it is one that makes or changes a table. Nobody may change it."""
    words = _words(statement)
    first = next((word for word in words if word not in ("OR", "REPLACE", "TEMP", "TEMPORARY", "CREATE")), "")
    if first not in (_CREATED if words[:1] == ["CREATE"] else _PARSED):
        return None
    head, query = _halves(statement) if words[:1] == ["CREATE"] else (_with_column(statement), "")
    try:
        found = [each for each in sqlglot.parse(head, dialect="duckdb") if each is not None]
    except (SqlglotError, RecursionError):
        return None
    if len(found) != 1 or (query and _CHANGES & set(_words(query))):
        return None
    found[0].meta[_QUERY] = query
    return found[0]


def _halves(statement: str) -> tuple[str, str]:
    """CREATE … AS with another query, and its own: DuckDB understands some that sqlglot does not."""
    tokens = sqlglot.tokenize(statement, read="duckdb")
    words = [token.text.upper() for token in tokens]
    end = next((-size for size in (3, 2) if words[-size:] in (["WITH", "NO", "DATA"], ["WITH", "DATA"])), len(words))
    depth = 0
    for token, after in pairwise(tokens[:end]):
        depth += (token.text == "(") - (token.text == ")")
        if token.text.upper() == "AS" and not depth:
            last = tokens[:end][-1].end + 1
            return f"{statement[: token.end + 1]} SELECT 1 {statement[last:]}", statement[after.start : last]
    return statement, ""


def _with_column(statement: str) -> str:
    """ALTER TABLE … RENAME a TO b and DROP a with the word COLUMN, without which sqlglot reads something else."""
    tokens = sqlglot.tokenize(statement, read="duckdb")
    if tokens[0].text.upper() == "ALTER":
        for token, after in pairwise(tokens):
            if token.text.upper() in ("RENAME", "DROP") and after.text.upper() not in _NO_COLUMN:
                return f"{statement[: token.end + 1]} COLUMN {statement[token.end + 1 :]}"
    return statement


def _only(node: exp.Expr, *known: str) -> None:
    """Refuses a node with parts of which nobody here knows what they do."""
    if {name for name, value in node.args.items() if value} - {*known}:
        raise _Unknown


def _name(table: exp.Expr) -> str:
    """A table's name, as DuckDB compares them; refused when it is in another schema."""
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise _Unknown
    *prefix, name = (part.name.lower() for part in table.parts)
    if tuple(prefix) not in _PREFIXES:
        raise _Unknown
    return name


def _table(tree: exp.Expr) -> exp.Expr:
    """The table that a statement is about, of what it says of it."""
    this: exp.Expr = tree.expressions[0] if isinstance(tree, exp.TruncateTable) else tree.this
    inner: exp.Expr = this.this if isinstance(this, exp.Schema) else this
    return inner


def _sql(node: exp.Expr | None) -> str:
    return node.sql(dialect="duckdb", comments=False) if node else ""


def _alias(table: exp.Expr) -> str:
    return quoted(table.alias_or_name)


class _Reader:
    """Reads one statement, which left its table with these columns."""

    def __init__(self, tree: exp.Expr, columns: Sequence[str]) -> None:
        self._tree, self._columns = tree, columns

    def effect(self) -> Effect:
        """What the statement did."""
        inner = (node for node in self._tree.find_all(exp.DML) if node is not self._tree)
        if any(not isinstance(node.parent, exp.When) for node in inner):
            raise _Unknown
        for kind, (read, known) in _READERS.items():
            if isinstance(self._tree, kind):
                _only(self._tree, *known.split())
                return read(self)
        raise _Unknown

    def create(self) -> Effect:
        kind, query = self._tree.args["kind"], self._tree.meta[_QUERY]
        if kind in ("INDEX", "SEQUENCE"):
            return Nothing()
        given = self._tree.args.get("properties")
        properties = given.expressions if given else []
        if not all(isinstance(each, (exp.TemporaryProperty, exp.WithDataProperty)) for each in properties):
            raise _Unknown
        if not query:
            _check_declared(self._tree.this)
        empty = not query or any(each.args.get("no") for each in properties)
        text = None if empty else self._new(f"{query}\n", self._columns)
        return Made(self._name, text, view=kind == "VIEW", if_missing=bool(self._tree.args.get("exists")))

    def insert(self) -> Effect:
        if self._tree.args.get("default"):
            return Nothing()
        query, target = _sql(self._tree.args["expression"]), self._tree.this
        if not self._tree.args.get("by_name"):
            listed = [each.name for each in target.expressions] if isinstance(target, exp.Schema) else self._columns
            query = self._new(query, listed)
        conflict = self._tree.args.get("conflict")
        return self._changed(query, *([self._met(conflict.copy(), query)] if conflict else []))

    def _met(self, conflict: exp.Expr, query: str) -> str:
        """What ON CONFLICT makes of the rows that were there: of those with the keys of what is inserted."""
        _only(conflict, "expressions", "action", "conflict_keys", "where")
        keys = [quoted(key.this.name) for key in conflict.args.get("conflict_keys") or ()]
        if not keys:
            raise _Unknown
        for column in [each for part in conflict.iter_expressions() for each in part.find_all(exp.Column)]:
            # A name alone is the table's here, where the query below has it twice.
            if not column.table and column.find_ancestor(exp.Query) is None:
                column.set("table", exp.to_identifier(self._table.alias_or_name, quoted=True))
        same = " AND ".join(f"{self._alias}.{key} = excluded.{key}" for key in keys)
        rows = f"{_sql(self._table)} JOIN ({query}) AS excluded ON {same} {_sql(conflict.args.get('where'))}"
        values = _values(conflict.expressions)
        return self._of(values, rows) if values else self._own(rows)

    def update(self) -> Effect:
        others, values = self._tree.args.get("from_"), _values(self._tree.expressions)
        if not others and not self._tree.args.get("where"):
            # In each row: nothing is left of what was there.
            return self._remade({name.lower(): _sql(value) for name, value in values.items()})
        tables = [self._tree.this, *([others.this] if others else [])]
        return self._changed(self._of(values, self._rows(tables)))

    def delete(self) -> Effect:
        others = self._tree.args.get("using") or []
        if not others and not self._tree.args.get("where"):
            return Made(self._name)
        return self._changed(self._own(self._rows([self._tree.this, *others])))

    def truncate(self) -> Effect:
        return Made(self._name)

    def merge(self) -> Effect:
        using = self._tree.args["using"]
        there = _alias(using)
        keys = [quoted(key.name) for key in self._tree.args.get("using_cond") or ()]
        on = _sql(self._tree.args.get("on")) or " AND ".join(f"{self._alias}.{key} = {there}.{key}" for key in keys)
        both = f"{_sql(self._tree.this)} JOIN {_sql(using)} ON {on}"
        return self._changed(*(self._branch(when, both, there) for when in self._tree.args["whens"].expressions))

    def _branch(self, when: exp.Expr, both: str, there: str) -> str:
        _only(when, "matched", "source", "condition", "then")
        condition, then = when.args.get("condition"), when.args["then"]
        rows = f"{both} WHERE {_sql(condition)}" if condition else both
        if isinstance(then, exp.Var) and then.name.upper() in ("DELETE", "DO NOTHING"):
            return self._own(rows)
        if not isinstance(then, (exp.Update, exp.Insert)):
            raise _Unknown
        _only(then, "this", "expression", "expressions")
        given = then.expressions if isinstance(then, exp.Update) else [then.this]
        if not given or given[0] is None or isinstance(given[0], exp.Star):
            return self._new(f"SELECT {there}.* FROM {rows}", self._columns)  # noqa: S608
        if isinstance(then, exp.Update):
            return self._of(_values(given), rows)
        if not isinstance(given[0], exp.Tuple) or not isinstance(then.expression, exp.Tuple):
            raise _Unknown
        listed = [each.name for each in given[0].expressions]
        return self._of(dict(zip(listed, then.expression.expressions, strict=True)), rows)

    def alter(self) -> Effect:
        (action,) = self._tree.args["actions"]
        instead: dict[str, str] = {}
        if isinstance(action, exp.AlterRename) and self._tree.args["kind"] == "TABLE":
            return Renamed(self._name, _name(action.this))
        if isinstance(action, exp.RenameColumn):
            instead[action.args["to"].name.lower()] = quoted(action.this.name)
        elif isinstance(action, exp.ColumnDef) and not action.args.get("exists"):
            _check_declared(action)
            instead[action.name.lower()] = "NULL"
        elif isinstance(action, exp.AlterColumn):
            if using := action.args.get("using"):
                instead[action.name.lower()] = _sql(using)
            elif dtype := action.args.get("dtype"):
                instead[action.name.lower()] = f"CAST({quoted(action.name)} AS {_sql(dtype)})"
        elif not isinstance(action, exp.AddConstraint) and not (
            isinstance(action, exp.Drop) and action.args["kind"] == "COLUMN"
        ):
            raise _Unknown
        return self._remade(instead)

    def _remade(self, instead: Mapping[str, str]) -> Made:
        """The table, with something else instead of some of its columns."""
        values = [instead.get(name.lower(), quoted(name)) for name in self._columns]
        query = f"SELECT {', '.join(values)} FROM {_sql(self._tree.this)}"  # noqa: S608
        return Made(self._name, self._with(self._new(query, self._columns)))

    def drop(self) -> Effect:
        kind = self._tree.args["kind"]
        if kind in ("INDEX", "SEQUENCE"):
            return Nothing()
        if kind not in ("TABLE", "VIEW"):
            raise _Unknown
        return Dropped(tuple(map(_name, self._tree.args["tables"])))

    def copy(self) -> Effect:
        return Nothing()

    def comment(self) -> Effect:
        return Nothing()

    @property
    def _table(self) -> exp.Expr:
        return _table(self._tree)

    @property
    def _name(self) -> str:
        return _name(self._table)

    @property
    def _alias(self) -> str:
        return _alias(self._table)

    def _rows(self, tables: Iterable[exp.Expr]) -> str:
        return f"{', '.join(map(_sql, tables))} {_sql(self._tree.args.get('where'))}"

    def _changed(self, *queries: str) -> Changed:
        return Changed(self._name, tuple(map(self._with, queries)))

    def _with(self, query: str) -> str:
        shared = self._tree.args.get("with_")
        return f"{_sql(shared)} {query}" if shared else query

    def _of(self, values: Mapping[str, exp.Expr], rows: str) -> str:
        return self._new(f"SELECT {', '.join(map(_sql, values.values()))} FROM {rows}", values)  # noqa: S608

    def _own(self, rows: str) -> str:
        """The table's own columns in these rows."""
        values = (f"{self._alias}.{quoted(name)}" for name in self._columns)
        return self._new(f"SELECT {', '.join(values)} FROM {rows}", self._columns)  # noqa: S608

    def _new(self, query: str, columns: Iterable[str]) -> str:
        """What a query gives, under the names of these columns of the table; it is read and never executed."""
        own = {name.lower(): name for name in self._columns}
        names = ", ".join(quoted(own.get(name.lower(), name)) for name in columns)
        return f"SELECT * FROM ({query}) AS headwater_new({names})"  # noqa: S608


def _check_declared(schema: exp.Expr) -> None:
    """Refuses columns that are made of others of the same table."""
    for column in schema.find_all(exp.ColumnDef):
        _only(column, "this", "kind", "constraints")
    for constraint in schema.find_all(exp.ColumnConstraint):
        if not isinstance(constraint.args["kind"], _CONSTRAINTS):
            raise _Unknown


def _values(assignments: Iterable[exp.Expr]) -> dict[str, exp.Expr]:
    """What SET gives to each column."""
    found: dict[str, exp.Expr] = {}
    for each in assignments:
        to, value = each.this, each.expression
        pairs = [(to, value)]
        if isinstance(to, exp.Tuple) and isinstance(value, exp.Tuple):
            pairs = list(zip(to.expressions, value.expressions, strict=True))
        for column, of in pairs:
            if not isinstance(column, exp.Column):
                raise _Unknown
            is_default = isinstance(of, exp.Column) and of.name.upper() == "DEFAULT" and not of.this.args.get("quoted")
            found[column.name] = exp.null() if is_default else of
    return found


_READERS: dict[type, tuple[Callable[[_Reader], Effect], str]] = {
    exp.Create: (_Reader.create, "this kind expression replace exists properties unique"),
    exp.Insert: (_Reader.insert, "this expression by_name conflict default returning with_"),
    exp.Update: (_Reader.update, "this expressions from_ where returning with_"),
    exp.Delete: (_Reader.delete, "this using where returning with_"),
    exp.TruncateTable: (_Reader.truncate, "expressions"),
    exp.Merge: (_Reader.merge, "this using on using_cond whens returning with_"),
    exp.Alter: (_Reader.alter, "this kind actions exists"),
    exp.Drop: (_Reader.drop, "tables kind exists cascade restrict"),
    exp.Copy: (_Reader.copy, "this files params credentials"),
    exp.Comment: (_Reader.comment, "this kind expression"),
}
"""How each kind of statement is read, and the parts that it may have: of any other nobody here knows what it does."""
