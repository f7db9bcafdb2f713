"""Declared queries: a folder of SQL files, one SELECT each, with sets of parameters.

A file `dashboard.sql` declares the query `dashboard`. Its placeholders are `$1`, `$2`, …; each
comment line `-- params: 'a', 42` is one set of values for them.

Parsed with PostgreSQL's own parser, imported only when needed: that takes a tenth of a second.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from maintenance.errors import Problem, ProblemReason
from maintenance.names import near
from maintenance.policy.sql_parser import nodes_of, parse
from maintenance.policy.yaml_document import line_and_column

_PARAMS = "params"
_ANNOTATION = re.compile(r"^[ \t]*--[ \t]*(?P<word>[A-Za-z_]+)[ \t]*:(?P<text>.*)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_PREPARED = "maintenance_query"
_NARROWED = "maintenance_narrowed_query"

_VOLATILE = frozenset(
    {
        "clock_timestamp",
        "currval",
        "gen_random_uuid",
        "lastval",
        "nextval",
        "random",
        "set_config",
        "setseed",
        "setval",
        "timeofday",
    }
)
_VOLATILE_PREFIXES = (
    "dblink",
    "lo_",
    "pg_advisory_",
    "pg_cancel_",
    "pg_ls_",
    "pg_read_",
    "pg_reload_",
    "pg_sleep",
    "pg_terminate_",
    "pg_try_advisory_",
)
"""Well-known volatile functions; the server is asked about all others."""


class RelationName(NamedTuple):
    """A relation, function or operator as a query names it, unquoted.

    Attributes:
        schema: None if the search_path decides.
    """

    schema: str | None
    name: str


class Order(NamedTuple):
    """One item of ORDER BY that is a column."""

    column: str
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class DeclaredQuery:
    """One query of the policy, with its sets of parameters.

    Attributes:
        name: the file's name without `.sql`.
        text: the query, without the semicolon.
        n_parameters: placeholders `$1` to `$n`.
        parameter_sets: the values of all placeholders as SQL; one empty set for a query without.
        relations: tables and views that it names, in order, without its own WITH queries.
        functions: the functions that it calls, those of the parameters included.
        operators: its operators.
        types: the types to which it casts.
        equal: columns that it compares with `=` or IN, or that are NULL, true or false.
        ranged: columns that it compares with `<`, `>` or BETWEEN.
        order: the items of its outermost ORDER BY; None if one of them is no column.
    """

    name: str
    text: str
    n_parameters: int = 0
    parameter_sets: tuple[str, ...] = ("",)
    relations: tuple[RelationName, ...] = ()
    functions: tuple[RelationName, ...] = ()
    operators: tuple[RelationName, ...] = ()
    equal: frozenset[str] = frozenset()
    ranged: frozenset[str] = frozenset()
    order: tuple[Order, ...] | None = ()
    types: tuple[RelationName, ...] = ()

    def prepare(self) -> str:
        """Return the statement that prepares it."""
        return f"PREPARE {_PREPARED} AS {self.text}"

    def execute(self, number: int, *, narrowed: bool = False) -> str:
        """Return the statement that executes it once prepared.

        Args:
            number: of the set of parameters, from 1.
            narrowed: whether to execute what `narrowed` prepares.
        """
        values = f"({self.parameter_sets[number - 1]})" if self.n_parameters else ""
        return f"EXECUTE {_NARROWED if narrowed else _PREPARED}{values}"

    def narrowed(self, condition: str) -> str | None:
        """Return the statement that prepares it with one more condition.

        Args:
            condition: SQL with column names of its table.

        Returns:
            None unless it is a plain SELECT from one table, and not nested very deeply.
        """
        from pglast import ast  # noqa: PLC0415 - see above
        from pglast.enums import BoolExprType, SetOperation  # noqa: PLC0415
        from pglast.stream import RawStream  # noqa: PLC0415

        statement: Any = _only(self.text)
        tables: Any = statement.fromClause or ()
        is_plain = statement.op == SetOperation.SETOP_NONE and len(tables) == 1
        if not is_plain or not isinstance(tables[0], ast.RangeVar):
            return None
        added: Any = _only(f"SELECT WHERE ({condition})")
        conditions = [each for each in (statement.whereClause, added.whereClause) if each]
        statement.whereClause = ast.BoolExpr(BoolExprType.AND_EXPR, tuple(conditions))
        try:
            return f"PREPARE {_NARROWED} AS {RawStream()(statement)}"
        except RecursionError:
            return None

    @property
    def digest(self) -> str:
        """A hash of its text and its parameters."""
        content = "\0".join((self.text, *self.parameter_sets))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def numbers(self) -> range:
        """The numbers of its sets of parameters, from 1."""
        return range(1, len(self.parameter_sets) + 1)


DEALLOCATE = f"DEALLOCATE {_PREPARED}"
"""Removes what `DeclaredQuery.prepare` has prepared."""
DEALLOCATE_NARROWED = f"DEALLOCATE {_NARROWED}"
"""Removes what `DeclaredQuery.narrowed` has prepared."""


class QueryFilesError(ValueError):
    """Files that are not declared queries.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class _Fault(NamedTuple):
    """A fault at a position of a text."""

    position: int
    reason: ProblemReason
    found: str
    wanted: str
    hint: str = ""


def read_queries(folder: Path) -> tuple[DeclaredQuery, ...]:
    """Read the `*.sql` files of a folder, sorted by name.

    Raises:
        QueryFilesError: a file can't be read, or does not declare one read-only query.
    """
    found: list[DeclaredQuery] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.sql")):
        try:
            state = path.stat()
            found.append(_read(path, state.st_mtime_ns, state.st_size))
        except (OSError, UnicodeDecodeError) as error:
            at = error.start if isinstance(error, UnicodeDecodeError) else 0
            text = f"byte {at}" if at else "a file that can't be read"
            wanted = "a readable file of UTF-8 text"
            problems.append(Problem(str(path), 0, 0, "", ProblemReason.UNREADABLE, text, wanted))
        except QueryFilesError as error:
            problems += error.problems
    if problems:
        raise QueryFilesError(problems)
    return tuple(found)


@lru_cache(maxsize=2048)
def _read(path: Path, changed_ns: int, size: int) -> DeclaredQuery:
    """Read one file; `changed_ns` and `size` tell its versions apart."""
    del changed_ns, size
    return parse_query(path.read_text(encoding="utf-8-sig"), path.stem, str(path))


def parse_query(text: str, name: str, file: str = "") -> DeclaredQuery:
    """Read a declared query.

    Args:
        text: the content of its file.
        name: of the query.
        file: for messages.

    Raises:
        QueryFilesError: it is not exactly one read-only query, or its parameters do not fit.
    """
    if not _NAME.match(name):
        found = f"the name {name!r}"
        fault = _Fault(0, ProblemReason.MALFORMED, found, "a name of letters, digits, _ and -")
        raise _refusal(text, file, [fault])
    statement = _statement(text, file)
    reading = _Reading(statement)
    faults = [*_unsafe(reading), *_placeholders(text, reading)]
    sets: list[str] = []
    n_parameters = max((number for number, _ in reading.parameters), default=0)
    for position, values in _parameter_lines(text, faults):
        within = _values(values, position, n_parameters, faults)
        if within is not None:
            sets.append(values.strip())
            reading.read_values(within)
    if n_parameters and not sets and not faults:
        what = f"{n_parameters} placeholders and no line -- params:"
        example = ", ".join(f"<value of ${n}>" for n in range(1, n_parameters + 1))
        at = min(position for _, position in reading.parameters)
        hint = f"write -- params: {example}"
        wanted = "at least one set of parameters"
        faults.append(_Fault(at, ProblemReason.MISSING, what, wanted, hint))
    if faults:
        raise _refusal(text, file, faults)
    return DeclaredQuery(
        name=name,
        text=_body(text),
        n_parameters=n_parameters,
        parameter_sets=tuple(dict.fromkeys(sets)) if n_parameters else ("",),
        relations=reading.tables,
        functions=tuple(dict.fromkeys(each for each, _ in reading.functions)),
        operators=tuple(dict.fromkeys(reading.operators)),
        equal=frozenset(reading.compared["equal"]),
        ranged=frozenset(reading.compared["ranged"]),
        order=_order(statement),
    )


def parse_select(text: str, name: str) -> DeclaredQuery:
    """Read a query that somebody has sent; the values of its parameters are NULL.

    Args:
        text: with `$1`, `$2`, … for values.
        name: of the query.

    Raises:
        QueryFilesError: it is not exactly one query that only reads.
    """
    statement = _statement(text, "")
    reading = _Reading(statement)
    faults = [*_unsafe(reading), *_placeholders(text, reading)]
    if faults:
        raise _refusal(text, "", faults)
    n_parameters = max((number for number, _ in reading.parameters), default=0)
    return DeclaredQuery(
        name=name,
        text=_body(text),
        n_parameters=n_parameters,
        parameter_sets=(", ".join(["NULL"] * n_parameters),),
        relations=reading.tables,
        functions=tuple(dict.fromkeys(each for each, _ in reading.functions)),
        operators=tuple(dict.fromkeys(reading.operators)),
        types=tuple(dict.fromkeys(reading.types)),
    )


def _refusal(text: str, file: str, faults: Sequence[_Fault]) -> QueryFilesError:
    problems: list[Problem] = []
    for fault in sorted(faults):
        line, column = line_and_column(text[: fault.position])
        _, reason, found, wanted, hint = fault
        problems.append(Problem(file, line, column, "", reason, found, wanted, hint))
    return QueryFilesError(problems)


def _statement(text: str, file: str) -> Any:
    """Return the one SELECT of a text."""
    from pglast import ast  # noqa: PLC0415 - see above
    from pglast.parser import ParseError  # noqa: PLC0415

    wanted = "one SELECT"
    try:
        statements = parse(text)
    except ParseError as error:
        message, position = _told(error, len(text))
        fault = _Fault(position, ProblemReason.MALFORMED, message, wanted)
        raise _refusal(text, file, [fault]) from None
    if len(statements) != 1:
        at = _start(text, statements[1].stmt_location or 0) if statements else 0
        found = f"{len(statements)} statements" if statements else "no statement"
        hint = "one query a file"
        raise _refusal(text, file, [_Fault(at, ProblemReason.MALFORMED, found, wanted, hint)])
    statement = statements[0].stmt
    if not isinstance(statement, ast.SelectStmt):
        at = _start(text, statements[0].stmt_location or 0)
        found = "another statement than a query"
        raise _refusal(text, file, [_Fault(at, ProblemReason.MALFORMED, found, wanted)])
    return statement


def _only(text: str) -> Any:
    """Return the only statement of a text."""
    (statement,) = parse(text)
    return statement.stmt


def _told(error: Exception, end: int) -> tuple[str, int]:
    """Return the message and the position of a parse error, which lacks one at the end."""
    message, position = (*error.args, None)[:2]
    return str(message), end if position is None else int(position)


def _start(text: str, position: int) -> int:
    """Return where a statement begins, after comments and blanks."""
    return next((token.start for token in _tokens(text) if token.start >= position), position)


def _tokens(text: str) -> list[Any]:
    from pglast.parser import scan  # noqa: PLC0415 - see above

    return [token for token in scan(text) if token.name not in _COMMENTS]


def _body(text: str) -> str:
    """Return the query without comments around it and without semicolons."""
    tokens = [token for token in _tokens(text) if token.name != "ASCII_59"]
    return text[tokens[0].start : tokens[-1].end + 1]


class _Reading:
    """What a parsed query names and compares."""

    def __init__(self, statement: Any) -> None:
        self.parameters: list[tuple[int, int]] = []
        self.functions: list[tuple[RelationName, int]] = []
        self.operators: list[RelationName] = []
        self.types: list[RelationName] = []
        self.writes: list[tuple[str, int]] = []
        self.compared: dict[str, set[str]] = defaultdict(set)
        self._relations: list[tuple[int, RelationName]] = []
        self._with: set[str] = set()
        self._read(statement)

    @property
    def tables(self) -> tuple[RelationName, ...]:
        """The relations that it names, without its WITH queries."""
        own = {RelationName(None, name) for name in self._with}
        ordered = (name for _, name in sorted(self._relations, key=itemgetter(0)))
        return tuple(dict.fromkeys(name for name in ordered if name not in own))

    def read_values(self, values: Any) -> None:
        """Read what the values of parameters call."""
        self._read(values)

    def _read(self, root: Any) -> None:
        for node in nodes_of(root):
            reader = getattr(self, f"_read_{type(node).__name__}", None)
            if reader is not None:
                reader(node)

    def _read_ParamRef(self, node: Any) -> None:  # noqa: N802 - named as the node
        self.parameters.append((node.number, node.location))

    def _read_RangeVar(self, node: Any) -> None:  # noqa: N802
        self._relations.append((node.location, RelationName(node.schemaname, node.relname)))

    def _read_CommonTableExpr(self, node: Any) -> None:  # noqa: N802
        self._with.add(node.ctename)

    def _read_FuncCall(self, node: Any) -> None:  # noqa: N802
        self.functions.append((_named(node.funcname), node.location))

    def _read_TypeName(self, node: Any) -> None:  # noqa: N802
        self.types.append(_named(node.names))

    def _read_IntoClause(self, node: Any) -> None:  # noqa: N802
        self.writes.append(("SELECT INTO", getattr(node.rel, "location", 0) or 0))

    def _read_LockingClause(self, node: Any) -> None:  # noqa: N802
        del node
        self.writes.append(("FOR UPDATE or another row lock", 0))

    def _read_InsertStmt(self, node: Any) -> None:  # noqa: N802
        self.writes.append(("INSERT", node.relation.location))

    def _read_UpdateStmt(self, node: Any) -> None:  # noqa: N802
        self.writes.append(("UPDATE", node.relation.location))

    def _read_DeleteStmt(self, node: Any) -> None:  # noqa: N802
        self.writes.append(("DELETE", node.relation.location))

    def _read_MergeStmt(self, node: Any) -> None:  # noqa: N802
        self.writes.append(("MERGE", node.relation.location))

    def _read_SelectStmt(self, node: Any) -> None:  # noqa: N802
        self._read_boolean(node.whereClause)

    def _read_BoolExpr(self, node: Any) -> None:  # noqa: N802
        for each in node.args:
            self._read_boolean(each)

    def _read_NullTest(self, node: Any) -> None:  # noqa: N802
        self._read_boolean(node.arg)

    def _read_BooleanTest(self, node: Any) -> None:  # noqa: N802
        self._read_boolean(node.arg)

    def _read_boolean(self, node: Any) -> None:
        """Read a column that is a condition alone, which has one value then."""
        column = _column(node)
        if column is not None:
            self.compared[_EQUAL].add(column)

    def _read_A_Expr(self, node: Any) -> None:  # noqa: N802
        kind = node.kind.name
        named = _named(node.name)
        if kind not in ("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"):
            self.operators.append(named)
        use = _COMPARISONS.get(kind, {}).get(named.name)
        for side in (node.lexpr, node.rexpr):
            column = _column(side)
            if use is not None and column is not None:
                self.compared[use].add(column)


_EQUAL, _RANGED = "equal", "ranged"
_COMPARISONS: Mapping[str, Mapping[str, str]] = {
    "AEXPR_OP": {"=": _EQUAL, "<": _RANGED, "<=": _RANGED, ">": _RANGED, ">=": _RANGED},
    "AEXPR_IN": {"=": _EQUAL},
    "AEXPR_OP_ANY": {"=": _EQUAL},
    "AEXPR_BETWEEN": {"BETWEEN": _RANGED},
}


def _named(parts: Sequence[Any]) -> RelationName:
    *schema, name = (part.sval for part in parts)
    return RelationName(schema[-1] if schema else None, name)


def _column(node: Any) -> str | None:
    """Return the column that an expression is; None if it is another one."""
    from pglast import ast  # noqa: PLC0415 - see above

    if not isinstance(node, ast.ColumnRef) or not node.fields:
        return None
    last = node.fields[-1]
    return last.sval if isinstance(last, ast.String) else None


def _order(statement: Any) -> tuple[Order, ...] | None:
    items: list[Order] = []
    for item in statement.sortClause or ():
        column = _column(item.node)
        if column is None:
            return None
        descending = item.sortby_dir.name == "SORTBY_DESC"
        nulls = item.sortby_nulls.name
        nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls.endswith("FIRST")
        items.append(Order(column, descending, nulls_first))
    return tuple(items)


def _unsafe(reading: _Reading) -> Iterator[_Fault]:
    wanted = "a query that only reads"
    for what, position in reading.writes:
        yield _Fault(position, ProblemReason.MALFORMED, what, wanted)
    for function, position in reading.functions:
        if is_known_volatile(function):
            found = f"the volatile function {function.name}"
            yield _Fault(position, ProblemReason.MALFORMED, found, wanted, _VOLATILE_HINT)


_VOLATILE_HINT = "its result changes from call to call, or it has side effects; use a parameter"


def is_known_volatile(function: RelationName) -> bool:
    """Whether a function is volatile on every server."""
    if function.schema not in (None, "pg_catalog", "public"):
        return False
    return function.name in _VOLATILE or function.name.startswith(_VOLATILE_PREFIXES)


def _placeholders(text: str, reading: _Reading) -> Iterator[_Fault]:
    """Yield a fault for each gap in the numbers of placeholders."""
    del text
    first: dict[int, int] = {}
    for number, position in sorted(reading.parameters):
        first.setdefault(number, position)
    for before, number in pairwise((0, *sorted(first))):
        if number != before + 1:
            wanted = f"placeholders without gaps: ${before + 1} first"
            yield _Fault(first[number], ProblemReason.MALFORMED, f"${number}", wanted)


def _parameter_lines(text: str, faults: list[_Fault]) -> Iterator[tuple[int, str]]:
    """Yield the position and the text of each set; lines that look like one are faults."""
    for token in _comments(text):
        match = _ANNOTATION.match(text[token.start : token.end + 1])
        if match is None:
            continue
        word = match["word"]
        if word == _PARAMS:
            yield token.start + match.start("text"), match["text"]
        elif near(word, [_PARAMS]):
            hint = f"did you mean {_PARAMS}?"
            found = f"-- {word}:"
            at = token.start + match.start("word")
            faults.append(_Fault(at, ProblemReason.UNKNOWN_KEY, found, "-- params:", hint))


def _comments(text: str) -> Iterator[Any]:
    from pglast.parser import scan  # noqa: PLC0415 - see above

    for token in scan(text):
        before = text[text.rfind("\n", 0, token.start) + 1 : token.start]
        if token.name == "SQL_COMMENT" and not before.strip():
            yield token


def _values(text: str, position: int, wanted: int, faults: list[_Fault]) -> Any:
    """Return the parsed values of one set; None, and a fault, if they do not fit."""
    from pglast import ast  # noqa: PLC0415 - see above
    from pglast.parser import ParseError  # noqa: PLC0415

    head = "EXECUTE q("
    try:
        statements = parse(f"{head}{text}\n)")
    except ParseError as error:
        message, at = _told(error, len(head) + len(text))
        within = min(max(at - len(head), 0), len(text))
        if not text.strip():
            message = "no value"
        what = "constants separated by commas"
        faults.append(_Fault(position + within, ProblemReason.MALFORMED, message, what))
        return None
    statement = statements[0].stmt
    if len(statements) != 1 or not isinstance(statement, ast.ExecuteStmt):
        what = "constants separated by commas"
        faults.append(_Fault(position, ProblemReason.MALFORMED, "another statement", what))
        return None
    n_values = len(statement.params or ())
    if n_values != wanted:
        found = f"{n_values} values" if n_values != 1 else "1 value"
        placeholders = f"{wanted}, one for each placeholder" if wanted else "none: no placeholder"
        faults.append(_Fault(position, ProblemReason.OUT_OF_RANGE, found, placeholders))
        return None
    return _checked(statement.params, position, len(head), faults)


def _checked(values: Any, position: int, head: int, faults: list[_Fault]) -> Any:
    """Return values that only compute; a subquery, column, or volatile function is a fault."""
    from pglast import ast  # noqa: PLC0415 - see above

    bad: list[_Fault] = []
    wanted = "a constant"
    for node in nodes_of(values):
        at = position + max((getattr(node, "location", None) or head) - head, 0)
        if isinstance(node, ast.SubLink):
            bad.append(_Fault(at, ProblemReason.MALFORMED, "a subquery", wanted))
        elif isinstance(node, ast.ColumnRef | ast.ParamRef):
            hint = "text is written in single quotes"
            bad.append(_Fault(at, ProblemReason.MALFORMED, "a name", wanted, hint))
        elif isinstance(node, ast.FuncCall):
            function = _named(node.funcname or ())
            if is_known_volatile(function):
                found = f"the volatile function {function.name}"
                bad.append(_Fault(at, ProblemReason.MALFORMED, found, wanted))
    faults += bad
    return None if bad else values
