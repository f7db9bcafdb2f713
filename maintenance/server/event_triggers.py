"""Find event triggers whose function is owned by a role with fewer rights.

An event trigger runs at each DDL statement, with the rights of the session's role. Only a superuser
can create one. If another role owns its function, that role can change it at any time, and its code
would run with the rights of every session, including ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from maintenance.errors import PrivilegeError
from maintenance.server.session import Connection, fetch


class EventTrigger(NamedTuple):
    """Such an event trigger; names are quoted.

    Attributes:
        owner: of the event trigger.
        function: such as `app.audit()`.
        function_owner: the role whose code it runs.
    """

    name: str
    owner: str
    function: str
    function_owner: str

    @property
    def danger(self) -> str:
        """The risk, as text for messages."""
        return (
            f"event trigger {self.name} runs {self.function} of role {self.function_owner} with the"
            " rights of every role that runs DDL"
        )

    @property
    def remedy(self) -> str:
        """The remedy, as text for messages."""
        return (
            f"review the function, then run ALTER FUNCTION {self.function} OWNER TO {self.owner},"
            f" or run ALTER EVENT TRIGGER {self.name} DISABLE"
        )


def foreign_event_triggers(connection: Connection) -> Sequence[EventTrigger]:
    """Return the event triggers that would run another role's code with our rights.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    rows = fetch(connection, "server", "list_foreign_event_triggers")
    return [EventTrigger(r.name, r.owner, r.function, r.function_owner) for r in rows]


def refuse_foreign_event_triggers(connection: Connection) -> None:
    """Refuse to continue if an event trigger would run another role's code with our rights.

    Raises:
        PrivilegeError: there is one; the hint has the remedy.
    """
    for found in foreign_event_triggers(connection):
        raise PrivilegeError(f"{found.danger}; nothing was changed", hint=found.remedy)
