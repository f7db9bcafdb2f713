"""Return the statement that grants our role the rights of a relation's owner."""

from collections.abc import Collection

from maintenance.names import quote


def right_to_act(owner: str, role: str, superusers: Collection[str], relation: str) -> str:
    """Return the statement that gives a role the rights of a relation's owner.

    A member of a superuser role can become superuser, so that membership is never proposed:
    instead, the relation of a superuser should get another owner.

    Args:
        owner: the role that owns the relation, unquoted.
        role: our role, unquoted.
        superusers: all superuser roles.
        relation: kind and quoted name, such as `TABLE public.events`.
    """
    if owner not in superusers:
        return f"GRANT {quote(owner)} TO {quote(role)}"
    return f"ALTER {relation} OWNER TO {quote(role)}"
