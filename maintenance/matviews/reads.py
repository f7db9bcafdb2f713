"""Which views of a policy read which others: seen in the catalog, written in files, declared."""

from collections.abc import Mapping
from itertools import chain

from maintenance.matviews.models import Seen
from maintenance.names import QualifiedName
from maintenance.policy import Policy


def reads_of(policy: Policy, seen: Seen) -> Mapping[QualifiedName, frozenset[QualifiedName]]:
    """Return for each view of a policy those of them that it reads."""
    ours = {section.name for section in policy.matviews}
    return {
        section.name: frozenset(
            chain(
                ours.intersection(section.depends_on),
                seen.written.get(section.name, ()) if section.name not in seen.views else (),
                seen.views[section.name].reads if section.name in seen.views else (),
            )
        )
        for section in policy.matviews
    }
