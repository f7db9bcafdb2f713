"""Findings on settings of the server that differ from the policy. Pure."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.names import literal, quote
from maintenance.subjects.capacity.models import Setting, Settings
from maintenance.subjects.capacity.special_values import meaning

READ_ALL = "pg_read_all_settings"
"""The role that may see all settings."""

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_UNIT = re.compile(r"(\d*)([A-Za-z]+)")
_MEMORY = MappingProxyType({"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40})
_TIME = MappingProxyType(
    {
        "us": 1,
        "ms": 10**3,
        "s": 10**6,
        "min": 60 * 10**6,
        "h": 3600 * 10**6,
        "d": 24 * 3600 * 10**6,
    }
)
_TRUE, _FALSE = frozenset({"on", "true", "yes", "1"}), frozenset({"off", "false", "no", "0"})
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
"""Lists of names, each of which is quoted alone: as one constant they would be one name."""
_BY_RELOAD, _BY_RESTART, _NEVER = "sighup", "postmaster", "internal"


def setting_findings(
    database: str, wanted: Mapping[str, str], seen: Settings, role: str
) -> Iterator[Finding]:
    """Yield one finding for each setting that is not what the policy says.

    Args:
        database: the database's name in its policy.
        wanted: the values of the policy, by name.
        seen: the settings that were found.
        role: the session's role, quoted.
    """
    for name, value in wanted.items():
        found = seen.found.get(name.lower())
        if found is None:
            yield _absent(database, name, value, role if not seen.sees_all else None)
        elif found.is_of_role:
            yield _of_role(database, name, role)
        elif not is_same(value, found):
            yield _differs(database, value, found, seen)


def is_same(wanted: str, found: Setting) -> bool:
    """Whether a value means what a setting has: `1000 ms`, `1s` and `1000` may be the same."""
    if found.vartype == "bool":
        return _truth(wanted) == _truth(found.value) is not None
    if found.vartype in ("integer", "real"):
        amount = _amount(wanted, found.unit)
        return amount is not None and amount == _amount(found.value, found.unit)
    if found.vartype == "enum":
        return wanted.strip().lower() == found.value.lower()
    if found.name in _LISTS:
        return _parts(wanted) == _parts(found.value)
    return wanted == found.value


def shown(found: Setting) -> str:
    """Return a value with its unit, or what it means where it is no amount: `off (-1)`."""
    if not found.value:
        return "empty"
    special = meaning(found.name.lower(), found.value)
    return f"{special} ({found.value})" if special else _with_unit(found.value, found.unit or "")


def _with_unit(value: str, unit: str) -> str:
    """Return a value with its unit: 16384 of 8kB is 128MB."""
    times, name = _split(unit)
    if times == 1 or not value.isdigit():
        return f"{value}{unit}"
    size = int(value) * times * _MEMORY.get(name, 1)
    fitting = [each for each, n in _MEMORY.items() if size and size % n == 0]
    return f"{size // _MEMORY[fitting[-1]]}{fitting[-1]}" if fitting else f"{value}{name}"


def _parts(text: str) -> list[str]:
    return [part.strip().strip('"') for part in text.split(",")]


def _truth(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _amount(text: str, unit: str | None) -> float | None:
    """Return a number in bytes or microseconds, or as it is without a unit; None if it is none."""
    parts = _NUMBER.fullmatch(text)
    if parts is None:
        return None
    number, written = float(parts[1]), parts[2]
    factor = _factor(written or unit, unit)
    return None if factor is None else number * factor


def _factor(written: str | None, unit: str | None) -> int | None:
    """Return the size of a unit; None if it is no unit of what the setting measures."""
    if not written:
        return 1
    units = next((each for each in (_MEMORY, _TIME) if _split(unit or "")[1] in each), None)
    times, name = _split(written)
    return times * units[name] if units is not None and name in units else None


def _split(unit: str) -> tuple[int, str]:
    """Return how many of which unit: `8kB` is 8 of kB."""
    parts = _UNIT.fullmatch(unit)
    return (int(parts[1] or 1), parts[2]) if parts is not None else (1, "")


def _differs(database: str, wanted: str, found: Setting, seen: Settings) -> Finding:
    statements = _statements(wanted, found, seen.database)
    then = "; then restart the server" if found.context == _BY_RESTART else ""
    pending = ", and another value waits for a restart" if found.is_pending else ""
    do = f"run {'; '.join(statements)}{then}" if statements else "it can't be changed"
    has = shown(found)
    return Finding(
        FindingKind.SETTING_DIFFERS,
        Severity.WARN,
        f"{database}/settings/{found.name}",
        f"{database}: {found.name} is {has}{pending}, wanted {wanted}; {do}",
        value=has,
        threshold=wanted,
        data={
            "reason": "differs",
            "statements": list(statements),
            "needs_restart": found.context == _BY_RESTART,
            "is_pending": found.is_pending,
        },
    )


def _statements(wanted: str, found: Setting, database: str) -> tuple[str, ...]:
    """Return the statements that change a setting, for this database alone if possible."""
    values = _parts(wanted) if found.name in _LISTS else [wanted]
    value = ", ".join(map(literal, values))
    name = ".".join(map(quote, found.name.split(".")))
    if found.context == _NEVER:
        return ()
    if found.context in (_BY_RELOAD, _BY_RESTART):
        reload = () if found.context == _BY_RESTART else ("SELECT pg_catalog.pg_reload_conf()",)
        return (f"ALTER SYSTEM SET {name} = {value}", *reload)
    return (f"ALTER DATABASE {database} SET {name} = {value}",)


def _absent(database: str, name: str, wanted: str, blind_role: str | None) -> Finding:
    where = f"{database}/settings/{name}"
    if blind_role is not None:
        grant = f"GRANT {READ_ALL} TO {blind_role}"
        return Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.WARN,
            where,
            f"{database}: role {blind_role} can't see {name}, or the server does not have it: run"
            f" {grant}",
            data={"grants": [grant], UNKNOWN: {FindingKind.SETTING_DIFFERS.value: [where]}},
        )
    return Finding(
        FindingKind.SETTING_DIFFERS,
        Severity.WARN,
        where,
        f"{database}: the server has no setting {name}, wanted {wanted}; check its name, or load"
        " the extension that it belongs to",
        threshold=wanted,
        data={"reason": "no_such_setting", "statements": []},
    )


def _of_role(database: str, name: str, role: str) -> Finding:
    where = f"{database}/settings/{name}"
    statement = f"ALTER ROLE {role} RESET {name}"
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN,
        where,
        f"{database}: {name} not checked: role {role} has a value of its own; run {statement}",
        data={"statements": [statement], UNKNOWN: {FindingKind.SETTING_DIFFERS.value: [where]}},
    )
