"""Names for cron schedules, used in job names."""

import re

_PARTS = {"*": "x", "/": "_per_", "-": "_to_", ",": "_and_"}


def cron_name(cron: str) -> str:
    """Return a name for a schedule: `hourly_at_00`, `daily_at_0230`, or `x_per_5_x_x_x_x`.

    Different cron expressions get different names.
    """
    minute, hour, *rest = cron.split()
    if rest == ["*", "*", "*"] and re.fullmatch(r"[1-5]?\d", minute):
        if hour == "*":
            return f"hourly_at_{int(minute):02}"
        if re.fullmatch(r"1?\d|2[0-3]", hour):
            return f"daily_at_{int(hour):02}{int(minute):02}"
    return "_".join("".join(_PARTS.get(c, c.lower()) for c in field) for field in cron.split())
