"""Column lineage of an SQL query of any dialect: sqlglot qualifies it, the walk over its scopes is our own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, ScopeType, build_scope

from headwater.assets.protocols import PlanLineage
from headwater.lineage.columns.algebra import (
    FILTER,
    GROUP_BY,
    IDENTITY,
    JOIN,
    NOTHING,
    SORT,
    TRANSFORMATION,
    Kind,
    Relation,
    Trace,
    merge,
    named,
    nothing_known,
    of_source,
    plan_lineage,
    unknown,
)
from headwater.lineage.columns.duckdb_bound import bound
from headwater.lineage.columns.sql_tables import KnownTables, Place, Tables
from headwater.lineage.columns.sqlglot_expressions import WRITTEN, is_open, read

_OPEN = "*"
"""The name of the column that stands for all columns of which one can't tell the names."""

_GENERATORS = (exp.GenerateSeries, exp.ExplodingGenerateSeries, exp.Unnest)
"""Functions in FROM that read no data of their own."""

_MULTIPLYING = (exp.Unnest, exp.Explode, exp.Inline, exp.ExplodingGenerateSeries)
"""Functions of a SELECT that give several rows for each: what they are made of decides how often the row comes out."""

_MULTIPLYING_TOO = named(
    "generate_subscripts inline_outer json_array_elements json_array_elements_text json_each json_each_text json_object_keys "
    "jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query "
    "regexp_matches regexp_split_to_table string_to_table"
)
"""The same, of functions that sqlglot knows by name only."""

_REFUSED = (exp.Pivot, exp.MatchRecognize, exp.Command)


def of_sql(text: str, tables: Tables, *, dialect: str) -> PlanLineage:
    """The column lineage of one query; `tables` gives source key and schema by the name that the query uses."""
    try:
        return _of_sql(text, tables, dialect)
    except (SqlglotError, ValueError, KeyError, AttributeError) as error:
        return nothing_known(f"sqlglot can't read the query: {_first_line(error)}")
    except RecursionError:
        return nothing_known("the query is nested too deep")


def _of_sql(text: str, tables: Tables, dialect: str) -> PlanLineage:
    statements = [each for each in sqlglot.parse(text, dialect=dialect) if each is not None]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return nothing_known("not a single SELECT statement")
    tree: exp.Expr = _without_parentheses(statements[0])
    refused = tree.find(*_REFUSED)
    if refused is not None:
        return nothing_known(f"{type(refused).__name__.upper()} gives columns that depend on the data")
    for node in tree.find_all(exp.Coalesce, exp.Identifier):
        node.meta[WRITTEN] = node.name if isinstance(node, exp.Identifier) else True
    known = KnownTables(tables, dialect)
    known.rename(tree)
    names = _engine_names(text, tables, tree, known) if dialect == "duckdb" else None
    tree = qualify(tree, dialect=dialect, schema=known.schema(), validate_qualify_columns=False)
    root = build_scope(tree)
    if root is None:
        return nothing_known("sqlglot does not understand the query's structure")
    walk = _Walk(root, known)
    result = walk.relation(root).without(walk.unresolved)
    if names is None or _OPEN in result.names:
        return plan_lineage(_named(result, tree, known), walk.sources())
    if len(names) != len(result.columns):
        reason = f"DuckDB gives {len(names)} columns where {len(result.columns)} were understood"
        return plan_lineage(Relation(rows=unknown(reason)), walk.sources())
    columns = tuple((name, trace) for name, (_, trace) in zip(names, result.columns, strict=True))
    return plan_lineage(Relation(columns=columns, rows=result.rows), walk.sources())


def _engine_names(text: str, tables: Tables, tree: exp.Expr, known: KnownTables) -> tuple[str, ...] | None:
    """The output's names as DuckDB gives them; of the renamed query when the tables' own names are no plain ones."""
    given = {name: columns for name, (_, columns) in tables.items()}
    found = bound(text, given) or bound(tree.sql(dialect="duckdb"), known.declared())
    return found.names if found is not None else None


def _without_parentheses(tree: exp.Expr) -> exp.Expr:
    while isinstance(tree, exp.Subquery) and tree.is_wrapper:
        tree = tree.this
    return tree


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _named(result: Relation, tree: exp.Expr, known: KnownTables) -> Relation:
    """The output under the names that the engine gives: as the author wrote an alias, else as the table has the column."""
    shown = known.column_names()
    if known.names.as_written and isinstance(tree, exp.Query):
        written = {node.this: node.meta[WRITTEN] for node in tree.find_all(exp.Identifier) if node.meta.get(WRITTEN)}
        aliases = (each.args.get("alias") for each in tree.selects if isinstance(each, exp.Alias))
        own = {alias.this: alias.meta[WRITTEN] for alias in aliases if alias is not None and alias.meta.get(WRITTEN)}
        shown = written | shown | own
    rest = merge(trace for name, trace in result.columns if name == _OPEN)
    columns = tuple((shown.get(name, name), trace) for name, trace in result.columns if name != _OPEN)
    return Relation(columns=columns, rows=merge([result.rows, rest]))


class _Walk:
    """One walk over one query: what each scope gives, each scope once."""

    def __init__(self, root: Scope, known: KnownTables) -> None:
        self._known = known
        self._found: dict[Hashable | None, None] = {}
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._done: dict[int, Relation] = {}
        self._outputs: dict[int, dict[str, Trace]] = {}
        self._assumed: dict[int, Relation] = {}
        self.unresolved: set[str] = set()

    def sources(self) -> tuple[Hashable | None, ...]:
        return tuple(self._found)

    def relation(self, scope: Scope) -> Relation:
        """The columns and rows of a scope; of a recursive CTE inside itself what is known of it so far."""
        if scope.is_cte and id(scope.expression) in self._assumed:
            return self._assumed[id(scope.expression)]
        if id(scope) not in self._done:
            self._done[id(scope)] = self._look(scope)
        return self._done[id(scope)]

    def _look(self, scope: Scope) -> Relation:
        expression = scope.expression
        if isinstance(expression, exp.Select):
            return self._select(scope, expression)
        if isinstance(expression, exp.SetOperation):
            return self._set_operation(scope, expression)
        if isinstance(expression, exp.Subquery):
            return self._parenthesized(scope, expression)
        if scope.scope_type is ScopeType.UDTF:
            return self._table_function(scope, expression)
        return _unreadable(f"{type(expression).__name__.upper()} is not understood")

    def _select(self, scope: Scope, select: exp.Select) -> Relation:
        if select.args.get("kind") or select.args.get("match") or select.args.get("connect"):
            return _unreadable("a kind of SELECT that is not understood")
        origin = self._origin(scope, select)
        outputs = self._outputs.setdefault(id(scope), {})
        columns: list[tuple[str, Trace]] = []
        for projection in select.expressions:
            name = _OPEN if is_open(projection.unalias()) else projection.alias_or_name
            trace = self._read(scope, projection, IDENTITY)
            columns.append((name, trace))
            outputs.setdefault(name, trace)
        rows = [origin, *self._clauses(scope, select, columns)]
        return Relation(columns=tuple(columns), rows=merge(rows))

    def _origin(self, scope: Scope, select: exp.Select) -> Trace:
        """What the rows of FROM depend on: the rows of what stands there, and the join conditions."""
        rows: list[Trace] = []
        for table in scope.tables:
            source = scope.sources.get(table.alias_or_name)
            if isinstance(source, Scope):
                rows.append(self.relation(source).rows)
            else:
                self._table(table)
                rows += (self._read(scope, each, JOIN) for each in table.this.find_all(exp.Column))
        rows += (self.relation(each).rows for each in chain(scope.derived_table_scopes, scope.udtf_scopes))
        for join in select.find_all(exp.Join):
            if join.find_ancestor(exp.Select) is select:
                rows += self._join(scope, join)
        return merge(rows)

    def _join(self, scope: Scope, join: exp.Join) -> Iterable[Trace]:
        if join.kind == "ARRAY":  # ClickHouse's: the items of an array, each with its row
            yield self._read(scope, join.this, JOIN)
        if join.args.get("on") is not None:
            yield self._read(scope, join.args["on"], JOIN)
        if join.args.get("using") or join.method == "NATURAL":
            yield unknown("a join on columns of a table that is not known")

    def _clauses(self, scope: Scope, select: exp.Select, columns: list[tuple[str, Trace]]) -> Iterable[Trace]:
        for name in ("prewhere", "where", "having", "qualify"):
            clause = select.args.get(name)
            if clause is not None:
                yield self._read(scope, clause.this, FILTER)
        for node in select.expressions:
            yield from (
                self._read(scope, each, JOIN)
                for each in node.find_all(*_MULTIPLYING, exp.Anonymous)
                if _multiplies(each) and each.find_ancestor(exp.Query) is select
            )
        everything = merge(trace for _, trace in columns)
        yield self._group(scope, select, columns)
        distinct = select.args.get("distinct")
        if distinct is not None:
            on = distinct.args.get("on")
            yield self._read(scope, on, GROUP_BY) if on is not None else everything.through(GROUP_BY)
        yield from self._order(scope, select, everything)

    def _group(self, scope: Scope, select: exp.Select, columns: list[tuple[str, Trace]]) -> Trace:
        group = select.args.get("group")
        if group is None:
            return NOTHING
        if group.args.get("all"):
            pairs = zip(select.expressions, columns, strict=True)
            return merge(trace for node, (_, trace) in pairs if not node.find(exp.AggFunc)).through(GROUP_BY)
        return merge(self._read(scope, each, GROUP_BY) for each in group.iter_expressions())

    def _order(self, scope: Scope, query: exp.Expr, everything: Trace) -> Iterable[Trace]:
        clauses = (query.args.get(name) for name in ("order", "sort", "cluster"))
        for ordered in chain.from_iterable(clause.expressions for clause in clauses if clause is not None):
            by_all = isinstance(ordered.this, exp.Var) and ordered.this.name.upper() == "ALL"
            yield everything.through(SORT) if by_all else self._read(scope, ordered, SORT)
        for name in ("limit", "offset"):
            clause = query.args.get(name)
            if clause is not None and clause.find(exp.Query, exp.Column):
                yield self._read(scope, clause, FILTER)

    def _set_operation(self, scope: Scope, operation: exp.SetOperation) -> Relation:
        left_scope, right_scope = scope.set_operation_scopes
        left = self.relation(left_scope)
        if not _is_recursive(operation):
            united = self._unite(operation, left, self.relation(right_scope))
            return self._ordered(scope, operation, united)
        while True:
            self._assumed[id(operation.left)] = left
            before = dict(self._done), {key: dict(value) for key, value in self._outputs.items()}
            united = self._unite(operation, left, self.relation(right_scope))
            del self._assumed[id(operation.left)]
            if united == left:
                return united
            left = united
            self._done, self._outputs = before

    def _unite(self, operation: exp.SetOperation, left: Relation, right: Relation) -> Relation:
        rows = [left.rows, right.rows]
        by_name = bool(operation.args.get("by_name"))
        aligned = not ({_OPEN} & {*left.names, *right.names}) and (by_name or len(left.names) == len(right.names))
        if not aligned:
            return _unreadable("a set operation whose sides can't be aligned column by column")
        if isinstance(operation, exp.Union):
            pairs = _by_name(left, right) if by_name else _by_position(left, right)
            if operation.args.get("distinct"):
                rows.append(merge(trace for _, trace in pairs).through(GROUP_BY))
            return Relation(columns=pairs, rows=merge(rows))
        if by_name:
            return _unreadable("INTERSECT or EXCEPT by name")
        rows += [left.everything.through(JOIN), right.everything.through(JOIN)]
        return Relation(columns=left.columns, rows=merge(rows))

    def _ordered(self, scope: Scope, query: exp.Expr, result: Relation) -> Relation:
        self._outputs[id(scope)] = dict(result.columns)
        return Relation(
            columns=result.columns, rows=merge([result.rows, *self._order(scope, query, result.everything)])
        )

    def _parenthesized(self, scope: Scope, subquery: exp.Subquery) -> Relation:
        inner = self._scopes.get(id(subquery.this))
        if inner is None or inner is scope:
            return _unreadable("a query in parentheses that is not understood")
        return self._ordered(scope, subquery, self.relation(inner))

    def _table_function(self, scope: Scope, expression: exp.Expr) -> Relation:
        """UNNEST and the like: each column is made of all arguments, and so is the number of rows. VALUES are written out."""
        names = expression.alias_column_names
        if isinstance(expression, exp.Values):
            return self._values(scope, expression, names)
        if isinstance(expression, exp.Lateral) and expression.find(exp.Query):
            return self._lateral(expression)
        if not isinstance(expression, (exp.Unnest, exp.Lateral)):
            return _unreadable(f"the table function {expression.sql()[:60]}")
        arguments = [expression.this] if isinstance(expression, exp.Lateral) else expression.expressions
        made = merge(self._read(scope, each, TRANSFORMATION) for each in arguments)
        return Relation(columns=tuple((name, made) for name in [*names, _OPEN]), rows=made.through(JOIN))

    def _values(self, scope: Scope, values: exp.Values, names: list[str]) -> Relation:
        """Rows that are written out: each column is made of what stands in its place. Whoever has no name may be any of them."""
        rows = [each.expressions if isinstance(each, exp.Tuple) else [each] for each in values.expressions]
        made = [merge(self._read(scope, each, TRANSFORMATION) for each in place) for place in zip(*rows, strict=True)]
        found = tuple(zip(names, made, strict=False))
        return Relation(columns=found if len(found) == len(made) else (*found, (_OPEN, merge(made))), rows=NOTHING)

    def _lateral(self, lateral: exp.Lateral) -> Relation:
        query = lateral.this
        inner = self._scopes.get(id(query.unnest())) if isinstance(query, exp.Subquery) else None
        if inner is None:
            return _unreadable("a LATERAL subquery")
        if isinstance(inner.expression, exp.Values):
            return self._values(inner, inner.expression, lateral.alias_column_names)
        found = self.relation(inner)
        names = lateral.alias_column_names or found.names
        if len(names) != len(found.columns):
            return _unreadable("a LATERAL subquery with names for some of its columns")
        return Relation(columns=tuple(zip(names, (trace for _, trace in found.columns), strict=True)), rows=found.rows)

    def _read(self, scope: Scope, node: exp.Expr, kind: Kind) -> Trace:
        windows = {each.name: each for each in scope.expression.args.get("windows") or ()}
        return read(node, kind, lambda column: self._column(scope, column), self._nested, windows)

    def _nested(self, query: exp.Expr) -> Trace:
        """A query inside an expression: its columns, and what decides its rows. EXISTS looks at rows alone."""
        inner = query.this if isinstance(query, exp.Exists) else query
        scope = self._scopes.get(id(inner.unnest() if isinstance(inner, exp.Subquery) else inner))
        if scope is None:
            return unknown(f"the nested query {query.sql()[:60]}")
        found = self.relation(scope)
        return found.rows if isinstance(query, exp.Exists) else merge([found.everything, found.rows])

    def _column(self, scope: Scope, column: exp.Expr) -> Trace:
        if isinstance(column, exp.TableColumn):
            return self._row(scope, column.name)
        table = column.text("table")
        if not table:
            return self._of_output(scope, column.name)
        at: Scope | None = scope
        while at is not None:
            if table in at.sources:
                return self._of_table(at, table, column.name)
            at = at.parent
        if table in self._outputs.get(id(scope), {}):
            return self._outputs[id(scope)][table].through(TRANSFORMATION)
        return unknown(f"{column.sql()} belongs to no table of the query")

    def _row(self, scope: Scope, table: str) -> Trace:
        """A table's name where a value is expected: its whole row."""
        source = scope.sources.get(table)
        if isinstance(source, Scope):
            return self.relation(source).everything.through(TRANSFORMATION)
        place = self._table(source) if source is not None else None
        if place is None:
            return unknown(f"the row of {table!r}, which is no known asset")
        return merge(of_source(place.source, name) for name in place.columns.values()).through(TRANSFORMATION)

    def _of_output(self, scope: Scope, name: str) -> Trace:
        at: Scope | None = scope
        while at is not None:
            if name in self._outputs.get(id(at), {}):
                return self._outputs[id(at)][name]
            at = at.parent
        only = next(iter(scope.sources.items())) if len(scope.sources) == 1 else ("", None)
        if isinstance(only[1], exp.Table) and self._known.place(only[1]) is None:
            return self._of_table(scope, only[0], name)
        return unknown(f"column {name!r} can't be told to belong to one table")

    def _of_table(self, scope: Scope, table: str, name: str) -> Trace:
        source = scope.sources[table]
        if isinstance(source, exp.Table) and isinstance(source.this, _GENERATORS):
            return self._read(scope, source.this, TRANSFORMATION)
        if isinstance(source, Scope):
            columns = self.relation(source).by_name
            missing = columns.get(_OPEN) or unknown(f"column {name!r} of {table!r} is not known")
            return columns.get(name, missing)
        place = self._table(source)
        if place is None:
            self.unresolved.add(reason := f"{source.name or source.this.sql()[:60]} is no known asset")
            return unknown(reason)
        if name not in place.columns:
            return unknown(f"column {name!r} of table {table!r} is not known")
        return of_source(place.source, place.columns[name])

    def _table(self, table: exp.Table) -> Place | None:
        place = self._known.place(table)
        if not isinstance(table.this, _GENERATORS):
            self._found[place.source if place is not None else None] = None
        return place


def _unreadable(reason: str) -> Relation:
    """A relation whose columns and rows can't be told."""
    return Relation(columns=((_OPEN, unknown(reason)),), rows=unknown(reason))


def _multiplies(function: exp.Expr) -> bool:
    return isinstance(function, _MULTIPLYING) or function.name.lower() in _MULTIPLYING_TOO


def _is_recursive(operation: exp.SetOperation) -> bool:
    cte = operation.parent
    return isinstance(cte, exp.CTE) and isinstance(cte.parent, exp.With) and bool(cte.parent.recursive)


def _by_position(left: Relation, right: Relation) -> tuple[tuple[str, Trace], ...]:
    return tuple(
        (name, merge([one, other])) for (name, one), (_, other) in zip(left.columns, right.columns, strict=True)
    )


def _by_name(left: Relation, right: Relation) -> tuple[tuple[str, Trace], ...]:
    names = dict.fromkeys([*left.names, *right.names])
    sides = (left.by_name, right.by_name)
    return tuple((name, merge(side[name] for side in sides if name in side)) for name in names)
