"""Files of declared indexes: CREATE INDEX, DROP INDEX, CHECK constraints and generated columns.

Parsed with PostgreSQL's own parser, imported only when needed: that takes a tenth of a second.
CONCURRENTLY, IF NOT EXISTS and NOT VALID may be written and mean nothing: how a statement is
carried out is not declared.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from maintenance.errors import Problem, ProblemReason
from maintenance.names import QualifiedName, cut, near
from maintenance.policy.declarations import (
    DESCENDING,
    NULLS_FIRST,
    Annotations,
    CheckDeclaration,
    ColumnDeclaration,
    Declaration,
    DeclaredKey,
    DropDeclaration,
    IndexDeclaration,
    Place,
)
from maintenance.policy.declared_annotations import Block, read_annotations
from maintenance.policy.sql_parser import nodes_of, parse
from maintenance.policy.sql_tokens import (
    Comment,
    Token,
    find,
    inside,
    read_tokens,
    split_at,
    written,
)

_WANTED = (
    "CREATE INDEX, DROP INDEX, ALTER TABLE … ADD CONSTRAINT … CHECK, or ALTER TABLE … ADD COLUMN …"
    " GENERATED ALWAYS AS"
)


class DeclaredSqlError(ValueError):
    """A file that is no list of declarations; carries every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class _FaultError(Exception):
    """One statement that is no declaration.

    Attributes:
        at: offset in the text.
    """

    def __init__(
        self,
        at: int,
        found: str,
        wanted: str = _WANTED,
        hint: str = "",
        reason: ProblemReason = ProblemReason.UNKNOWN_VALUE,
    ) -> None:
        super().__init__(found)
        self.at, self.found, self.wanted, self.hint, self.reason = at, found, wanted, hint, reason


class _Statement(NamedTuple):
    """A statement: its syntax tree, its tokens and what stands above it."""

    tree: Any
    tokens: Sequence[Token]
    annotations: Annotations
    place: Place

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def text(self) -> str:
        return written(self.tokens)


def read_declarations(path: Path) -> tuple[Declaration, ...]:
    """Return the declarations of a file, or of the *.sql files of a folder in order of their names.

    A file that did not change is parsed once.

    Raises:
        DeclaredSqlError: a file can't be read, or something else is in it.
    """
    try:
        files = sorted(path.glob("*.sql")) if path.is_dir() else [path]
        stamps = [(file, *_stamp(file)) for file in files]
    except OSError as exc:
        found = (exc.strerror or "an error").lower()
        raise DeclaredSqlError([_unreadable(path, found)]) from exc
    if not files:
        raise DeclaredSqlError([_unreadable(path, "a folder without *.sql")])
    problems: list[Problem] = []
    declared: list[Declaration] = []
    for stamp in stamps:
        found, faults = _read_file(*stamp)
        declared += found
        problems += faults
    problems += _contradictions(declared)
    if problems:
        raise DeclaredSqlError(sorted(problems, key=lambda each: (each.file, each.line)))
    return tuple(declared)


def parse_declarations(text: str, file: str = "") -> tuple[Declaration, ...]:
    """Return the declarations of SQL text.

    Args:
        text: the SQL.
        file: the name of its file, for messages.

    Raises:
        DeclaredSqlError: it can't be parsed, or something else is in it.
    """
    declared, problems = _parse(text, file)
    problems = [*problems, *_contradictions(declared)]
    if problems:
        raise DeclaredSqlError(problems)
    return tuple(declared)


def unknown_queries(declared: Sequence[Declaration], folder: Path | None) -> list[Problem]:
    """Return one problem for each served query that the folder of queries does not have."""
    known = sorted(file.stem for file in folder.glob("*.sql")) if folder is not None else []
    return [
        _unknown_query(each, name, known)
        for each in declared
        for name in each.annotations.serves
        if name not in known
    ]


def _unknown_query(each: Declaration, name: str, known: Sequence[str]) -> Problem:
    guesses = near(name, known, n=1)
    hint = f"did you mean {guesses[0]}?" if guesses else ""
    file, line, column = each.place
    wanted = f"a query {name}.sql in the folder of indexes.queries"
    found = f"serves: {name}"
    return Problem(file, line, column, "", ProblemReason.NO_SUCH_FILE, found, wanted, hint)


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=256)
def _read_file(
    path: Path, _changed_at: int, _size: int
) -> tuple[Sequence[Declaration], Sequence[Problem]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        return [], [_unreadable(path, (exc.strerror or "an error").lower())]
    except UnicodeDecodeError:
        return [], [_unreadable(path, "a file that is not UTF-8 text")]
    return _parse(text, str(path))


def _unreadable(path: Path, found: str) -> Problem:
    return Problem(str(path), 0, 0, "", ProblemReason.UNREADABLE, found, f"SQL text: {_WANTED}")


def _parse(text: str, file: str) -> tuple[list[Declaration], list[Problem]]:
    from pglast.parser import ParseError  # noqa: PLC0415 - see above

    def problem(fault: _FaultError) -> Problem:
        line, column = _line_and_column(text, fault.at)
        return Problem(file, line, column, "", fault.reason, fault.found, fault.wanted, fault.hint)

    malformed = ProblemReason.MALFORMED
    try:
        raw = parse(text)
    except ParseError as exc:
        message, at = (*exc.args, None)[:2]
        at = len(text) if at is None else int(at)
        return [], [problem(_FaultError(at, str(message), "valid SQL", reason=malformed))]
    tokens, comments = read_tokens(text)
    declared: list[Declaration] = []
    problems: list[Problem] = []
    used: set[Comment] = set()
    for tree, own in zip((each.stmt for each in raw), _statements(tokens), strict=True):
        block = Block(text, own[0].start, comments)
        used.update(block.comments)
        annotations, faults = read_annotations(block, _default_schema(tree))
        problems += [problem(_FaultError(*fault)) for fault in faults]
        line, column = _line_and_column(text, own[0].start)
        statement = _Statement(tree, own, annotations, Place(file, line, column))
        try:
            declared += _declarations(statement)
        except _FaultError as fault:
            problems.append(problem(fault))
    for comment in comments:
        if comment not in used and Block.is_annotation(comment):
            wanted = "an annotation directly before its statement, without an empty line"
            fault = _FaultError(comment.start, comment.text, wanted, reason=malformed)
            problems.append(problem(fault))
    return declared, problems


def _statements(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    return (own for own in split_at(tokens, ";") if own)


def _line_and_column(text: str, at: int) -> tuple[int, int]:
    before = text[:at]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _default_schema(tree: Any) -> str:
    relation = getattr(tree, "relation", None)
    return getattr(relation, "schemaname", None) or "public"


def _declarations(statement: _Statement) -> Iterator[Declaration]:
    from pglast import ast  # noqa: PLC0415 - see above
    from pglast.enums import ObjectType  # noqa: PLC0415

    tree = statement.tree
    if isinstance(tree, ast.IndexStmt):
        yield _index(statement)
    elif isinstance(tree, ast.DropStmt) and tree.removeType == ObjectType.OBJECT_INDEX:
        yield from _drops(statement)
    elif isinstance(tree, ast.AlterTableStmt) and tree.objtype == ObjectType.OBJECT_TABLE:
        yield from _table_parts(statement)
    else:
        words = " ".join(token.word for token in statement.tokens[:2])
        raise _FaultError(statement.start, words)


def _table(statement: _Statement) -> QualifiedName:
    relation = statement.tree.relation
    if relation.catalogname is not None:
        raise _FaultError(statement.start, "a name with a database", "schema and name")
    return QualifiedName(relation.schemaname or "public", relation.relname)


def _index(statement: _Statement) -> IndexDeclaration:
    tree, tokens = statement.tree, statement.tokens
    if tree.idxname is None:
        raise _FaultError(statement.start, "CREATE INDEX without a name", "a name for the index")
    if not tree.relation.inh:
        hint = "partitions get their index by the rollout"
        raise _FaultError(statement.start, "ON ONLY", "the index of the whole table", hint)
    opening = find(tokens, "(")
    assert opening is not None, "an index has keys"
    listed = split_at(inside(tokens, opening), ",")
    after = opening + 1 + len(inside(tokens, opening)) + 1
    where = find(tokens, "WHERE", after)
    space = find(tokens, "TABLESPACE", after)
    head = written(tokens[opening : space or where or len(tokens)])
    rest = written(tokens[where:]) if where is not None else ""
    names = _names_in(tree.indexParams, tree.whereClause, tree.indexIncludingParams)
    table = _table(statement)
    return IndexDeclaration(
        name=cut(tree.idxname),
        table=table,
        is_unique=bool(tree.unique),
        method=tree.accessMethod or "btree",
        keys=tuple(_key(own, key) for own, key in zip(listed, tree.indexParams, strict=True)),
        included=tuple(_included(statement)),
        predicate=written(tokens[where + 1 :]) if where is not None else None,
        options=tuple(_options(tree.options or ())),
        tablespace=tree.tableSpace,
        nulls_not_distinct=bool(tree.nulls_not_distinct),
        columns=tuple(name for name in names if name != table.name or name in _plain(tree)),
        joined=tuple(_joined_in(tree.indexParams)),
        has_whole_row=table.name in names and table.name not in _plain(tree),
        tail=f"{head} {rest}".strip(),
        length_before_where=len(head),
        annotations=statement.annotations,
        place=statement.place,
        text=statement.text,
    )


def _key(tokens: Sequence[Token], key: Any) -> DeclaredKey:
    from pglast.enums import SortByDir, SortByNulls  # noqa: PLC0415 - see above

    is_descending = key.ordering == SortByDir.SORTBY_DESC
    is_first = key.nulls_ordering == SortByNulls.SORTBY_NULLS_FIRST
    if key.nulls_ordering == SortByNulls.SORTBY_NULLS_DEFAULT:
        is_first = is_descending
    direction = (DESCENDING if is_descending else 0) | (NULLS_FIRST if is_first else 0)
    has_class = bool(key.opclass or key.collation)
    return DeclaredKey(written(tokens), key.name, direction, has_class)


def _included(statement: _Statement) -> Iterator[str]:
    for each in statement.tree.indexIncludingParams or ():
        if each.name is None:
            raise _FaultError(statement.start, "an expression in INCLUDE", "names of columns")
        yield each.name


def _options(options: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for option in options:
        value = option.arg
        if value is None:
            yield option.defname, "true"
        elif hasattr(value, "sval"):
            yield option.defname, value.sval
        elif hasattr(value, "names"):
            yield option.defname, ".".join(name.sval for name in value.names)
        else:
            yield option.defname, str(getattr(value, "ival", getattr(value, "fval", value)))


def _drops(statement: _Statement) -> Iterator[DropDeclaration]:
    from pglast.enums import DropBehavior  # noqa: PLC0415 - see above

    tree = statement.tree
    if tree.behavior == DropBehavior.DROP_CASCADE:
        wanted = "DROP INDEX without CASCADE"
        raise _FaultError(statement.start, "CASCADE, which drops constraints too", wanted)
    for name in tree.objects:
        parts = [each.sval for each in name]
        if len(parts) > 2:  # noqa: PLR2004 - schema and name
            raise _FaultError(statement.start, "a name with a database", "schema and name")
        schema = parts[0] if len(parts) > 1 else "public"
        relation = QualifiedName(schema, cut(parts[-1]))
        yield DropDeclaration(relation, statement.annotations, statement.place, statement.text)


def _table_parts(statement: _Statement) -> Iterator[Declaration]:
    from pglast.enums import AlterTableType  # noqa: PLC0415 - see above

    first = find(statement.tokens, "ADD")
    commands = split_at(statement.tokens[first:], ",") if first is not None else []
    for command, tokens in zip(statement.tree.cmds, commands, strict=False):
        if command.subtype == AlterTableType.AT_AddConstraint:
            yield _check(statement, command.def_, tokens)
        elif command.subtype == AlterTableType.AT_AddColumn:
            yield _column(statement, command.def_, tokens)
        else:
            break
    if len(commands) != len(statement.tree.cmds) or any(
        command.subtype not in (AlterTableType.AT_AddConstraint, AlterTableType.AT_AddColumn)
        for command in statement.tree.cmds
    ):
        raise _FaultError(statement.start, "ALTER TABLE with another command")


def _check(statement: _Statement, constraint: Any, tokens: Sequence[Token]) -> CheckDeclaration:
    from pglast.enums import ConstrType  # noqa: PLC0415 - see above

    start = tokens[0].start
    if constraint.contype != ConstrType.CONSTR_CHECK:
        raise _FaultError(start, "a constraint that is no CHECK")
    if constraint.conname is None:
        raise _FaultError(start, "ADD CHECK without a name", "ADD CONSTRAINT name CHECK (…)")
    if not constraint.is_enforced:
        raise _FaultError(start, "NOT ENFORCED", "a CHECK that is enforced")
    opening = find(tokens, "(")
    assert opening is not None, "a CHECK has an expression"
    return CheckDeclaration(
        _table(statement),
        cut(constraint.conname),
        written(inside(tokens, opening)),
        bool(constraint.is_no_inherit),
        tuple(_names_in(constraint.raw_expr)),
        statement.annotations,
        statement.place,
        statement.text,
    )


def _column(statement: _Statement, column: Any, tokens: Sequence[Token]) -> ColumnDeclaration:
    from pglast.enums import ConstrType  # noqa: PLC0415 - see above

    start = tokens[0].start
    constraints = column.constraints or ()
    generated = [each for each in constraints if each.contype == ConstrType.CONSTR_GENERATED]
    if not generated:
        raise _FaultError(start, "a column that is not generated")
    if len(constraints) > 1:
        raise _FaultError(start, "a column with further constraints", "GENERATED ALWAYS AS alone")
    n_words = 1 + (tokens[1].word == "COLUMN")
    n_words += 3 if tokens[n_words].word == "IF" else 0
    definition = tokens[n_words + 1 :]
    at = find(definition, "GENERATED")
    opening = find(definition, "(", at or 0)
    assert opening is not None, "a generated column has an expression"
    return ColumnDeclaration(
        _table(statement),
        cut(column.colname),
        written(definition),
        written(inside(definition, opening)),
        generated[0].generated_kind == "v",
        column.collClause is not None,
        tuple(_names_in(generated[0].raw_expr)),
        tuple(_joined_in(generated[0].raw_expr)),
        statement.annotations,
        statement.place,
        statement.text,
    )


def _plain(tree: Any) -> frozenset[str]:
    """Return the names of keys and INCLUDE columns that are no expressions."""
    return frozenset(e.name for e in (*tree.indexParams, *(tree.indexIncludingParams or ())))


def _names_in(*nodes: Any) -> list[str]:
    """Return the columns that parts of a statement name, in order, each once."""
    return list(dict.fromkeys(name for node in nodes for name in _columns(node)))


def _columns(node: Any) -> Iterator[str]:
    from pglast import ast  # noqa: PLC0415 - see above

    for each in nodes_of(node):
        if isinstance(each, ast.ColumnRef):
            yield _column_name(each)
        elif isinstance(each, ast.IndexElem) and each.name is not None:
            yield str(each.name)


def _column_name(node: Any) -> str:
    last = node.fields[-1]
    # the first one of `t.*`, which is a whole row
    return last.sval if hasattr(last, "sval") else node.fields[0].sval


def _joined_in(node: Any) -> list[str]:
    """Return the columns that are operands of `||`, in order, each once."""
    from pglast import ast  # noqa: PLC0415 - see above

    joins = [
        each
        for each in nodes_of(node)
        if isinstance(each, ast.A_Expr) and each.name and each.name[-1].sval == "||"
    ]
    operands = (_bare(side) for each in joins for side in (each.lexpr, each.rexpr))
    names = (_column_name(each) for each in operands if isinstance(each, ast.ColumnRef))
    return list(dict.fromkeys(names))


def _bare(node: Any) -> Any:
    from pglast import ast  # noqa: PLC0415 - see above

    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def _contradictions(declared: Sequence[Declaration]) -> Iterator[Problem]:
    """Yield one problem for each name that is declared twice, or both created and dropped."""
    first: dict[tuple[str, str], Declaration] = {}
    created = {str(each.relation): each for each in declared if isinstance(each, IndexDeclaration)}
    for each in declared:
        kind, name = _identity(each)
        if (other := first.setdefault((kind, name), each)) is not each:
            yield _contradiction(each, f"{name} again", f"each once; also at {other.place}")
        for gone in _dropped(each):
            if (other := created.get(str(gone))) is not None and other is not each:
                found = f"a drop of {gone}"
                yield _contradiction(each, found, f"one statement on it; created at {other.place}")


def _identity(each: Declaration) -> tuple[str, str]:
    if isinstance(each, IndexDeclaration | DropDeclaration):
        return type(each).__name__, str(each.relation)
    return "part of a table", each.object


def _dropped(each: Declaration) -> Sequence[QualifiedName]:
    if isinstance(each, DropDeclaration):
        return (each.relation,)
    return each.annotations.replaces


def _contradiction(each: Declaration, found: str, wanted: str) -> Problem:
    file, line, column = each.place
    return Problem(file, line, column, "", ProblemReason.DUPLICATE_NAME, found, wanted)
