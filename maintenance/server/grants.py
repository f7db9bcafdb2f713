"""The right that lets our role act for the owner of a relation, as the statement to run."""

from collections.abc import Collection

from maintenance.names import quote


def right_to_act(owner: str, role: str, superusers: Collection[str], relation: str) -> str:
    """Return the statement that lets a role act for the owner of a relation.

    A member of a superuser may become one, so that membership is never asked for: what belongs to
    a superuser is to be given away, to this role or to one that it is a member of.

    Args:
        owner: the role that owns the relation, unquoted.
        role: ours, unquoted.
        superusers: all roles that are one.
        relation: with its noun, such as `TABLE public.events`, as PostgreSQL quotes it.
    """
    if owner not in superusers:
        return f"GRANT {quote(owner)} TO {quote(role)}"
    return f"ALTER {relation} OWNER TO {quote(role)}"
