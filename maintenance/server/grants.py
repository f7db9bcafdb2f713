"""Return the statement that grants our role the rights of a relation's owner."""

from collections.abc import Iterator
from dataclasses import dataclass

from maintenance.names import QualifiedName, quote


@dataclass(frozen=True, slots=True)
class Grants:
    """What may be granted to our role, and what is to be done instead.

    A member of a superuser role can become superuser, and a member of a role that administers
    others can grant itself their rights, so that neither membership is ever proposed. Managed
    hosts have administrators that are no superusers, named `postgres` on most of them.

    Attributes:
        role: our role, unquoted.
        database: unquoted.
        superusers: all superuser roles.
        administrators: other roles that may create roles or grant predefined ones, and members of
            these and of superusers.
    """

    role: str = ""
    database: str = ""
    superusers: frozenset[str] = frozenset()
    administrators: frozenset[str] = frozenset()

    def may_have(self, owner: str) -> bool:
        """Whether membership in a role may be proposed."""
        return owner not in self.superusers | self.administrators

    def right_to_act(self, owner: str, relation: QualifiedName, kind: str = "TABLE") -> str:
        """Return the statements that give our role the rights of a relation's owner.

        The relation of a superuser gets another owner. That of an administrator gets a role that
        owns relations and nothing else, of which the former owner becomes a member: it keeps all
        rights on them.

        Args:
            owner: the role that owns the relation, unquoted.
            relation: its name.
            kind: as in ALTER, such as `MATERIALIZED VIEW`.
        """
        if owner in self.superusers:
            return f"ALTER {kind} {relation} OWNER TO {quote(self.role)}"
        if owner in self.administrators:
            return "; ".join(self._by_owner_role(owner, relation, kind))
        return f"GRANT {quote(owner)} TO {quote(self.role)}"

    def _by_owner_role(self, owner: str, relation: QualifiedName, kind: str) -> Iterator[str]:
        role = quote(f"{self.database}_owner")
        yield f"CREATE ROLE {role}"
        yield f"GRANT {role} TO {quote(owner)}, {quote(self.role)}"
        yield f"GRANT USAGE, CREATE ON SCHEMA {quote(relation.schema)} TO {role}"
        yield f"ALTER {kind} {relation} OWNER TO {role}"
