"""Statements that lock a view, and bind it to what has the names in its text now."""

from maintenance.subjects.conversion.models import Fact


def lock_view(view: Fact) -> str:
    """Return a statement that locks a view against readers, and not what it reads as LOCK does."""
    options = view.definition["options"]
    if options:
        return f"ALTER VIEW {view.name} SET ({', '.join(options)})"
    return f"ALTER VIEW {view.name} RESET (security_barrier)"


def replace_view(view: Fact) -> str:
    """Return the statement that binds a view to the table that has the name now."""
    options = ", ".join(view.definition["options"] or ())
    text = view.definition["text"].strip().rstrip(";")
    return f"CREATE OR REPLACE VIEW {view.name}{f' WITH ({options})' if options else ''} AS {text}"
