"""The administrators of managed hosts, as their documents and role listings describe them.

None is a superuser. What each may grant decides what the SQL of its page can do: from 16 on a role
needs the ADMIN option for that, before 16 CREATEROLE was enough.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from pglast import split

from maintenance.names import quote
from maintenance.server.sql_library import data_root
from tests.builders import Database, Role, unique

_ATTRIBUTES = "LOGIN PASSWORD 'secret' CREATEDB CREATEROLE"


@dataclass(frozen=True)
class Host:
    """A managed host.

    Attributes:
        name: of its page and its SQL file.
        grants: predefined roles with the ADMIN option, with the first version that has each.
        uses: predefined roles without it.
        group: the role of all its administrators, which has these; empty if each has them itself.
        attributes: of the administrator, beyond CREATEDB and CREATEROLE.
        of_group: of the group.
        owns: what belongs to the group instead of the administrator.
        event_triggers: whether the host has some, with a function of the administrator.
    """

    name: str
    grants: dict[str, int]
    uses: tuple[str, ...] = ()
    group: str = ""
    attributes: str = ""
    of_group: str = ""
    owns: tuple[str, ...] = ()
    event_triggers: bool = False

    @property
    def statements(self) -> list[str]:
        """The statements of its SQL file."""
        return statements_of(self.name)


HOSTS = (
    Host(
        "rds",
        {
            "pg_monitor": 10,
            "pg_signal_backend": 10,
            "pg_checkpoint": 15,
            "pg_read_all_data": 15,
            "pg_write_all_data": 15,
            "pg_maintain": 17,
        },
        group="rds_superuser",
    ),
    Host(
        "cloud_sql",
        {},
        uses=("pg_monitor", "pg_signal_backend"),
        group="cloudsqlsuperuser",
        of_group="CREATEDB CREATEROLE",
        owns=("DATABASE",),
    ),
    Host(
        "azure",
        {"pg_monitor": 10, "pg_read_all_data": 15, "pg_checkpoint": 15},
        group="azure_pg_admin",
        attributes="BYPASSRLS",
        owns=("DATABASE", "SCHEMA"),
    ),
    Host(
        "supabase",
        {"pg_monitor": 10, "pg_read_all_data": 15, "pg_signal_backend": 10},
        attributes="BYPASSRLS REPLICATION",
        event_triggers=True,
    ),
    Host("render", {}),
)


def statements_of(name: str) -> list[str]:
    """The statements of a file in sql/hosts, each alone."""
    text = (data_root() / f"sql/hosts/{name}.sql").read_text()
    return list(split(text))


@dataclass(frozen=True)
class Site:
    """A database at a host: its administrator, and the roles that the page names."""

    host: Host
    database: Database
    admin: Role
    owner: Role
    maintenance: Role

    def run(self, statements: list[str]) -> dict[str, str]:
        """Run statements of a page as the administrator; those refused, with the SQLSTATE."""
        refused: dict[str, str] = {}
        for statement in statements:
            try:
                self.database.execute(self._named(statement), role=self.admin)
            except psycopg.Error as exc:
                refused[statement] = exc.sqlstate or ""
        return refused

    def _named(self, statement: str) -> str:
        names = {
            "app": self.database.name,
            "app_owner": self.owner.name,
            "maintenance": self.maintenance.name,
        }
        return re.sub(r"\b(app_owner|app|maintenance)\b", lambda m: names[m[1]], statement)

    def give_password(self, role: Role) -> None:
        """Let a role log in, as the administrator that has made it does."""
        statement = f"ALTER ROLE {role.name} LOGIN PASSWORD '{role.password}'"
        self.database.execute(statement, role=self.admin)


def open_site(host: Host, database: Database) -> Site:
    """Make the roles that the host makes, with names of this test's own."""
    roles = [Role(unique(kind), "secret") for kind in ("admin", "app_owner", "maintenance")]
    site = Site(host, database, *roles)
    for statement in _by_host(site):
        database.execute(statement)
    return site


def _by_host(site: Site) -> Iterator[str]:
    host, admin = site.host, site.admin.name
    major = site.database.server.major
    yield f"CREATE ROLE {admin} {_ATTRIBUTES} {host.attributes}"
    holder = admin
    if host.group:
        holder = unique(host.group)
        yield f"CREATE ROLE {holder} {host.of_group}"
        yield f"GRANT {holder} TO {admin}"
    for name, first in host.grants.items():
        if major >= first:
            yield f"GRANT {name} TO {holder} WITH ADMIN OPTION"
    for name in host.uses:
        yield f"GRANT {name} TO {holder}"
    of_database = holder if "DATABASE" in host.owns else admin
    yield f"ALTER DATABASE {quote(site.database.name)} OWNER TO {of_database}"
    if "SCHEMA" in host.owns:
        yield f"ALTER SCHEMA public OWNER TO {holder}"
    if host.event_triggers:
        yield _EVENT_TRIGGER.format(admin=admin)


_EVENT_TRIGGER = """
CREATE SCHEMA extensions;
CREATE FUNCTION extensions.grant_access() RETURNS event_trigger LANGUAGE plpgsql
  AS $$BEGIN RAISE EXCEPTION 'only for extensions'; END$$;
ALTER FUNCTION extensions.grant_access() OWNER TO {admin};
CREATE EVENT TRIGGER issue_access ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION')
  EXECUTE FUNCTION extensions.grant_access();
"""
