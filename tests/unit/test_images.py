"""The picture of a table's timeline: what is drawn, and how it is told apart."""

from dataclasses import replace
from datetime import UTC, datetime

from maintenance.catalog.history import Archived
from maintenance.orchestration.images import bars_of, timeline
from maintenance.subjects.partitions.inventory import PartitionFacts, TableInventory
from tests.unit.test_charts import MOST_BYTES, SVG, drawn, texts

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MB = 2**20


def facts(year: int, month: int, size: int, retention: str | None = None) -> PartitionFacts:
    lower = datetime(year, month, 1, tzinfo=UTC)
    upper = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    key = f"{year}-{month:02}"
    return PartitionFacts(f"public.e_{key}", key, lower, upper, size * MB, 10, retention)


def archived(period: str, size: int) -> Archived:
    return Archived(period, 10, size * MB, NOW)


TABLE = TableInventory(
    "public.e",
    "1 month",
    1,
    3,
    "2026-11",
    "2027-02",
    datetime(2027, 1, 1, tzinfo=UTC),
    (
        facts(2026, 8, 90, "expired"),
        facts(2026, 9, 70, "held"),
        facts(2026, 10, 80),
        facts(2026, 11, 50),
        facts(2026, 12, 0),
        PartitionFacts("public.e_default", None, None, None, 3 * MB, None),
    ),
)
ARCHIVES = (archived("2026-07", 20), archived("2026-06", 22), archived("2026-08", 25))


def test_every_period_has_its_state_size_and_archive_in_order_of_time() -> None:
    bars = bars_of(TABLE, NOW, ARCHIVES)
    assert [(bar.label, bar.state, bar.size, bar.archived) for bar in bars] == [
        ("2026-06", "archived and dropped", 22, True),
        ("2026-07", "archived and dropped", 20, True),
        ("2026-08", "expired", 90, True),
        ("2026-09", "held", 70, False),
        ("2026-10", "past", 80, False),
        ("2026-11", "current", 50, False),
        ("2026-12", "ahead", 0, False),
        ("e_default", "default", 3, False),
    ]


def test_each_state_has_its_color_and_name_and_archives_are_marked() -> None:
    picture = drawn(timeline(TABLE, NOW, ARCHIVES))
    columns = [rect for rect in picture.iter(f"{SVG}rect") if rect.get("height") != "10"]
    assert len({rect.attrib["fill"] for rect in columns[1:]}) == 7
    assert {"2026-06", "e_default", "archived and dropped", "expired", "held", "past"} <= set(
        texts(picture)
    )
    assert len(list(picture.iter(f"{SVG}circle"))) == len(ARCHIVES)


def test_hostile_name_is_drawn_and_of_no_partitions_it_is_said() -> None:
    hostile = replace(TABLE, table='public."$x$ <_{&\x07"')
    assert 'public."$x$ <_{&\\x07": 1 of 3 ahead' in texts(drawn(timeline(hostile, NOW)))
    empty = timeline(replace(hostile, partitions=()), NOW).md_str or ""
    assert empty.endswith(": no values yet")


def test_of_a_thousand_years_the_newest_months_are_drawn() -> None:
    months = tuple(facts(1000 + n // 12, n % 12 + 1, n % 90) for n in range(11_000))
    found = timeline(replace(TABLE, partitions=months), NOW, ARCHIVES)
    assert len(found.md_str or "") < MOST_BYTES
    assert "public.e: 1 of 3 ahead; newest 240 of 11003 periods" in texts(drawn(found))
