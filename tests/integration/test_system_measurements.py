"""The measurement of what the plans of the example systems claim, on few rows."""

import pytest

from tests.builders import Database
from tests.declared import declared, queries
from tests.system_measurements import measure

pytestmark = pytest.mark.pg("== 18")


@pytest.mark.parametrize("system", ["lms", "proposals"])
def test_every_claim_is_measured_before_and_after(database: Database, system: str) -> None:
    found = measure(database.url, system, "small", rounds=1)
    statements = declared(system)
    assert found["indexes"].keys() == {each.name for each in statements if each.creates}
    assert all(each["before_ms"] > 0 < each["after_ms"] for each in found["indexes"].values())
    assert found["queries"].keys() == {each.name for each in queries(system)}
    sizes = found["sizes"]
    assert sizes["after"]["indexes"] > sizes["before"]["indexes"]
    views, writes = found["views"], found["writes"]
    assert views.keys() == ({"proposal_trend", "approval_pace"} if system == "proposals" else set())
    assert all(each["tables_ms"] > 0 < each["view_ms"] for each in views.values())
    dropped = sorted(name for each in statements for name in each.drops)
    assert writes.get("indexes", []) == dropped
    if dropped:
        assert writes["with_ms"] > 0 < writes["without_ms"]
        assert database.execute("SELECT count(*) FROM public.users") == [(120,)]
