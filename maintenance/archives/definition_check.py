"""Checks that SQL built from an archive's manifest is exactly one definition.

A manifest may have been written by another program. Its types, expressions and index definitions
are text, so each statement built from them is first parsed by PostgreSQL's own parser, and run only
if it creates one table, one constraint or one index of the intended table.
"""

from collections.abc import Iterable, Sequence

from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName, quote
from maintenance.policy.sql_parser import parse


def require_definitions(
    statements: Iterable[str], into: QualifiedName, columns: Sequence[str]
) -> None:
    """Raise unless each statement is exactly one definition of a table.

    Args:
        statements: finished SQL, each parsed separately.
        into: the table that it must create, or on which it must create a constraint or an index.
        columns: of the table, in their order.

    Raises:
        ArchiveError: a statement is something else, or more than one statement.
    """
    for statement in statements:
        _require_definition(statement, into, columns)


def _require_definition(statement: str, into: QualifiedName, columns: Sequence[str]) -> None:
    from pglast import ast  # noqa: PLC0415 - a tenth of a second, needed late or never
    from pglast.parser import ParseError  # noqa: PLC0415

    try:
        statements = parse(statement)
    except ParseError as exc:
        raise _refused(statement, "which can't be parsed as SQL") from exc
    if len(statements) != 1:
        raise _refused(statement, f"which is {len(statements)} statements instead of one")
    found = statements[0].stmt
    match found:
        case ast.CreateStmt():
            fits = _is_plain_table(found, columns)
        case ast.AlterTableStmt():
            fits = _is_one_constraint(found)
        case ast.IndexStmt():
            fits = found.idxname is None and found.tableSpace is None
        case _:
            raise _refused(statement, f"which is a {type(found).__name__}")
    if not fits or not _is(found.relation, into):
        raise _refused(statement, f"which does not only define {into}")


def foreign_code(statement: str) -> list[str]:
    """Return the functions, operators, operator classes and types with a schema in a statement.

    Under an empty search_path a name without a schema is always built in.
    """
    from pglast import ast  # noqa: PLC0415 - see above
    from pglast.visitors import Visitor  # noqa: PLC0415

    found: set[str] = set()

    def note(name: Sequence[ast.Node] | None) -> None:
        parts = [getattr(part, "sval", "") for part in name or ()]
        if len(parts) > 1 and parts[0] != "pg_catalog":
            found.add(".".join(map(quote, parts)))

    class Names(Visitor):
        def visit(self, _above: object, node: ast.Node) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
            match node:
                case ast.FuncCall():
                    note(node.funcname)
                case ast.A_Expr():
                    note(node.name)
                case ast.IndexElem():
                    note(node.opclass)
                case ast.TypeName():  # a cast may be a function, and a domain has CHECKs
                    note(node.names)
                case ast.Constraint():
                    for _, operator in node.exclusions or ():
                        note(operator)
                case _:
                    pass

    Names()(parse(statement))
    return sorted(found)


def _is_plain_table(found: object, columns: Sequence[str]) -> bool:
    from pglast import ast, enums  # noqa: PLC0415 - see above

    assert isinstance(found, ast.CreateStmt)
    kinds = (enums.ConstrType.CONSTR_NOTNULL, enums.ConstrType.CONSTR_GENERATED)
    elements = found.tableElts or ()
    extras = (found.inhRelations, found.partspec, found.ofTypename, found.options)
    return (
        not any(extras)
        and found.tablespacename is None
        and all(isinstance(each, ast.ColumnDef) for each in elements)
        and [each.colname for each in elements] == list(columns)
        and all(
            isinstance(constraint, ast.Constraint) and constraint.contype in kinds
            for each in elements
            for constraint in each.constraints or ()
        )
    )


def _is_one_constraint(found: object) -> bool:
    from pglast import ast, enums  # noqa: PLC0415 - see above

    assert isinstance(found, ast.AlterTableStmt)
    kinds = (
        enums.ConstrType.CONSTR_CHECK,
        enums.ConstrType.CONSTR_PRIMARY,
        enums.ConstrType.CONSTR_UNIQUE,
        enums.ConstrType.CONSTR_EXCLUSION,
    )
    commands = found.cmds or ()
    return (
        len(commands) == 1
        and commands[0].subtype == enums.AlterTableType.AT_AddConstraint
        and isinstance(commands[0].def_, ast.Constraint)
        and commands[0].def_.contype in kinds
        and commands[0].def_.indexname is None
    )


def _is(relation: object, wanted: QualifiedName) -> bool:
    schema, name = getattr(relation, "schemaname", None), getattr(relation, "relname", None)
    return (schema, name) == tuple(wanted)


def _refused(statement: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"nothing is restored: the archive's manifest contains {statement[:200]!r}, {why};"
        " the statement is not run",
        hint="check who wrote to the archive; an earlier backup of it may be intact",
    )
