"""Event triggers whose function belongs to a role that has no say over the server.

An event trigger runs at each change of a table, as whoever makes it. Only a superuser can make one.
Where the function is owned by somebody else, that role may change it at any time, and what it wrote
would run with the rights of everybody, also with ours, whatever owner we work for.
"""

from collections.abc import Sequence
from typing import NamedTuple

from maintenance.errors import PrivilegeError
from maintenance.server.session import Connection, fetch


class EventTrigger(NamedTuple):
    """Such an event trigger; names as PostgreSQL quotes them.

    Attributes:
        owner: of the event trigger.
        function: such as `app.audit()`.
        function_owner: whose code it runs.
    """

    name: str
    owner: str
    function: str
    function_owner: str

    @property
    def danger(self) -> str:
        """What it does, for messages."""
        return (
            f"event trigger {self.name} runs {self.function} of role {self.function_owner} with the"
            " rights of whoever changes a table"
        )

    @property
    def remedy(self) -> str:
        """What ends it."""
        return (
            f"read the function, then ALTER FUNCTION {self.function} OWNER TO {self.owner}; or"
            f" ALTER EVENT TRIGGER {self.name} DISABLE"
        )


def foreign_event_triggers(connection: Connection) -> Sequence[EventTrigger]:
    """Return the event triggers by which some role's code would run with our rights.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    rows = fetch(connection, "server", "list_foreign_event_triggers")
    return [EventTrigger(r.name, r.owner, r.function, r.function_owner) for r in rows]


def refuse_foreign_event_triggers(connection: Connection) -> None:
    """Refuse to change anything where an event trigger would run some role's code as us.

    Raises:
        PrivilegeError: there is one; the hint says how to end that.
    """
    for found in foreign_event_triggers(connection):
        raise PrivilegeError(f"{found.danger}: nothing is changed", hint=found.remedy)
