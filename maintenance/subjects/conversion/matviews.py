"""Materialized views that read a converted table directly: built again, never missing or empty.

Such a view keeps the table that it was created on, which becomes the first partition: all rows are
there for at least a week. The swap creates a twin of it WITH NO DATA, which reads the partitioned
table. Then the twin is populated and gets everything that the view has, and one short transaction
gives it the view's name. An undo does the same in reverse. The catalog shows how far it is: a twin
has a reserved name, and a mark in its comment that names its view.
"""

from collections.abc import Iterator
from typing import NamedTuple

from maintenance.ddl.guards import require
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.marks import marked
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.models import DependentMatview, Fact, twin_name
from maintenance.subjects.conversion.proof import kept
from maintenance.subjects.conversion.references import NO_LIMIT
from maintenance.subjects.conversion.view_statements import lock_view, replace_view

MARK = "twin_of"
"""The key of the mark of a twin: the qualified name of its view."""

WORTH_TABLES = 40
"""The time allowed for statements under blocking locks, as for a tree of this many tables."""

_AS_IN_A_REFRESH = "SET LOCAL row_security = on"

_ALL = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"}
)
_ONLY_FROM_17 = frozenset({"MAINTAIN"})
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN"}
_COMPRESSION = {"p": "pglz", "l": "lz4"}


class Twin(NamedTuple):
    """A view and the one that replaces it.

    Attributes:
        purpose: a letter in the names, so that conversion and undo have their own twins.
    """

    view: DependentMatview
    purpose: str = "m"

    @property
    def name(self) -> QualifiedName:
        """The name of the twin until it gets that of the view."""
        return twin_name(self.view.name, self.purpose)

    @property
    def owner(self) -> str:
        """The owner of the view."""
        return self.view.table["owner"]

    def index_name(self, name: str) -> str:
        """Return the name of the twin of an index until the exchange."""
        return twin_name(QualifiedName(self.view.name.schema, name), f"{self.purpose}i").name

    def create(self) -> Iterator[str]:
        """Yield the statements that create it WITH NO DATA, with a mark."""
        storage, tablespace = self.view.storage, self.view.table["tablespace"]
        options = [*(storage["options"] or ())]
        options += [f"toast.{each}" for each in storage["toast_options"] or ()]
        set_ = f" WITH ({', '.join(map(_option, options))})" if options else ""
        space = f" TABLESPACE {quote(tablespace)}" if tablespace else ""
        columns = ", ".join(quote(column.name) for column in self.view.columns)
        query = self.view.query.strip().rstrip(";")
        yield (
            f"CREATE MATERIALIZED VIEW {self.name} ({columns}) USING"
            f" {quote(storage['access_method'])}{set_}{space} AS {query}\nWITH NO DATA"
        )
        # the statements of an undo may be run by hand, as another role
        yield f"ALTER MATERIALIZED VIEW {self.name} OWNER TO {quote(self.owner)}"
        mark = marked(None, {MARK: str(self.view.name)})
        yield f"COMMENT ON MATERIALIZED VIEW {self.name} IS {literal(mark)}"

    def drop(self) -> str:
        """Return the statement that drops it, if it is there."""
        return f"DROP MATERIALIZED VIEW IF EXISTS {self.name}"

    def fill(self, *, anew: bool) -> Step:
        """Return the step that populates it like the view, and gives it all that the view has.

        It blocks nobody: nothing reads the twin.

        Args:
            anew: whether it is dropped and created before, in case it has been filled earlier.
        """
        return Step(
            (
                NO_LIMIT,
                Ours(
                    "SELECT pg_catalog.set_config('search_path',"
                    f" {literal(self.view.search_path)}, true)"
                ),
                _AS_IN_A_REFRESH,  # together with what follows: settings are pinned after a call
                *((self.drop(), *self.create()) if anew else ()),
                *self._columns(),
                self._refresh(),
                *self._indexes(),
                *self._grants(),
                f"ANALYZE {self.name}",
            ),
            locks=(Lock(str(self.name), LockMode.ACCESS_EXCLUSIVE),),
            owner=self.owner,
        )

    def exchange(self) -> Step:
        """Return the step that gives it the name of the view, and drops the former one."""
        locks = (
            Lock(str(self.view.name), LockMode.ACCESS_EXCLUSIVE),
            Lock(str(self.name), LockMode.ACCESS_EXCLUSIVE),
        )
        proof = kept(self.view.facts)
        return Step(
            (
                allowed_time(WORTH_TABLES),
                take((), tuple(self.lock())),
                proof,
                *self.take_place(),
                proof,
                # named in errors
                Ours(f"SELECT {literal(f'exchange of {self.view.name}')}"),
            ),
            locks=locks,
            owner=self.owner,
        )

    def lock(self) -> Iterator[str]:
        """Yield statements that lock the view, and before it those that read it, as readers do.

        LOCK TABLE takes no materialized view; giving it to its own owner changes nothing.
        """
        yield from (lock_view(view) for view in self.view.of("view"))
        yield f"ALTER MATERIALIZED VIEW {self.view.name} OWNER TO {quote(self.owner)}"

    def take_place(self) -> Iterator[str]:
        """Yield the statements that put it in the place of the view."""
        view, schema = self.view.name, quote(self.view.name.schema)
        former = twin_name(view, f"{self.purpose}o")
        yield self._as_populated()
        yield f"ALTER MATERIALIZED VIEW {view} RENAME TO {quote(former.name)}"
        yield f"ALTER MATERIALIZED VIEW {self.name} RENAME TO {quote(view.name)}"
        yield from (replace_view(each) for each in self.view.of("view"))
        yield f"DROP MATERIALIZED VIEW {former}"
        for index in self.view.of("index"):
            now = f"{schema}.{quote(self.index_name(index.name))}"
            yield f"ALTER INDEX {now} RENAME TO {quote(index.name)}"
        comment = self.view.table["comment"]
        shown = literal(comment) if comment is not None else "NULL"
        yield f"COMMENT ON MATERIALIZED VIEW {view} IS {shown}"

    def _as_populated(self) -> Ours:
        """Return a guard: readers of a populated view never see an unpopulated one."""
        populated = "(SELECT c.relispopulated FROM pg_catalog.pg_class c WHERE c.oid ="
        view, twin = (
            f"{populated} pg_catalog.to_regclass({literal(str(name))}))"
            for name in (self.view.name, self.name)
        )
        return Ours(require(f"{twin} OR NOT {view}", f"{self.name} is not populated yet"))

    def _refresh(self) -> str:
        """Return the statement that populates it if its view is populated."""
        view = f"pg_catalog.to_regclass({literal(str(self.view.name))})"
        return "DO " + literal(
            "BEGIN IF (SELECT c.relispopulated FROM pg_catalog.pg_class c"
            f" WHERE c.oid = {view}) THEN"
            f" REFRESH MATERIALIZED VIEW {self.name}; END IF; END"
        )

    def _columns(self) -> Iterator[str]:
        clauses: list[str] = []
        for column in self.view.columns:
            facts, name = column.definition, f"ALTER COLUMN {quote(column.name)}"
            clauses.append(f"{name} SET STORAGE {_STORAGE[facts['storage']]}")
            if facts["compression"] in _COMPRESSION:
                clauses.append(f"{name} SET COMPRESSION {_COMPRESSION[facts['compression']]}")
            if facts["target"] is not None:
                clauses.append(f"{name} SET STATISTICS {int(facts['target'])}")
            if facts["options"]:
                clauses.append(f"{name} SET ({', '.join(map(_option, facts['options']))})")
        if clauses:
            yield f"ALTER MATERIALIZED VIEW {self.name} {', '.join(clauses)}"
        for column in self.view.columns:
            comment = column.definition["comment"]
            if comment is not None:
                on = f"{self.name}.{quote(column.name)}"
                yield f"COMMENT ON COLUMN {on} IS {literal(comment)}"

    def _indexes(self) -> Iterator[str]:
        for index in self.view.of("index"):
            facts, name = index.definition, quote(self.index_name(index.name))
            rest = facts["text"].removeprefix(index_head(self.view.name, index))
            unique = "UNIQUE " if facts["unique"] else ""
            yield f"CREATE {unique}INDEX {name} ON {self.name} {rest}"
            qualified = f"{quote(self.view.name.schema)}.{name}"
            if facts["tablespace"] is not None:
                yield f"ALTER INDEX {qualified} SET TABLESPACE {quote(facts['tablespace'])}"
            if facts["comment"] is not None:
                yield f"COMMENT ON INDEX {qualified} IS {literal(facts['comment'])}"
            if facts["clustered"]:
                yield f"ALTER MATERIALIZED VIEW {self.name} CLUSTER ON {name}"

    def _grants(self) -> Iterator[str]:
        """Yield the statements that give it the privileges of the view, whatever the defaults."""
        yield _revoke_defaults(self.name)
        grants = self.view.table["grants"] or ()
        own = {privilege for grantee, privilege, _ in grants if grantee == self.owner}
        if own < _ALL - _ONLY_FROM_17:
            yield f"REVOKE ALL ON {self.name} FROM {quote(self.owner)}"
        else:
            grants = [each for each in grants if each[0] != self.owner]
        for grantee, privilege, grantable in grants:
            yield f"GRANT {privilege} ON {self.name} TO {_grantee(grantee, grantable)}"
        for column in self.view.columns:
            for grantee, privilege, grantable in column.definition["grants"] or ():
                what = f"{privilege} ({quote(column.name)})"
                yield f"GRANT {what} ON {self.name} TO {_grantee(grantee, grantable)}"


def index_head(view: QualifiedName, index: Fact) -> str:
    """Return the beginning of the definition of an index, up to its method."""
    unique = "UNIQUE " if index.definition["unique"] else ""
    return f"CREATE {unique}INDEX {quote(index.name)} ON {view} "


def is_fill(step: Step) -> bool:
    """Whether a step populates a twin."""
    return _AS_IN_A_REFRESH in step.statements


def _revoke_defaults(view: QualifiedName) -> str:
    """Return the statement that takes back what default privileges have given to others."""
    return "DO " + literal(f"""DECLARE other pg_catalog.text; BEGIN
  FOR other IN SELECT DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC'
                 ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END
      FROM pg_catalog.pg_class c CROSS JOIN pg_catalog.aclexplode(c.relacl) g
     WHERE c.oid = pg_catalog.to_regclass({literal(str(view))}) AND g.grantee <> c.relowner LOOP
    EXECUTE pg_catalog.concat({literal(f"REVOKE ALL ON {view} FROM ")}, other); END LOOP; END""")


def _grantee(name: str | None, grantable: bool) -> str:
    return f"{'PUBLIC' if name is None else quote(name)}{' WITH GRANT OPTION' if grantable else ''}"


def _option(option: str) -> str:
    name, _, value = option.partition("=")
    return f"{'.'.join(map(quote, name.split('.')))} = {literal(value)}"
