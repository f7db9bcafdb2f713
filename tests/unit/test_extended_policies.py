"""Policies that extend a file of their folder: what many databases share is written once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.errors import ProblemReason
from maintenance.policy import BrokenPolicyError, Policy, alerting_part, load_policies, load_policy

SHARED: dict[str, Any] = {
    "store": {"url": {"env": "STORE_URL"}, "keep": "25 months"},
    "locks": {"lock_timeout": "20 ms"},
    "statistics": {},
    "bloat": "off",
    "alerts": {"sinks": [{"type": "webhook", "url": {"env": "HOOK_URL"}}]},
}


def write(folder: Path, name: str, document: object) -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def a_policy(name: str = "app", extends: str = "shared.yaml", **sections: Any) -> dict[str, Any]:
    database = {"name": name, "url": {"env": f"{name.upper()}_URL"}}
    return {"extends": extends, "database": database, **sections}


def faults(path: Path) -> list[tuple[str, int, str, ProblemReason]]:
    with pytest.raises(BrokenPolicyError) as caught:
        load_policy(path)
    return [(Path(p.file).name, p.line, p.key, p.reason) for p in caught.value.problems]


def test_what_a_file_lacks_comes_from_the_file_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", SHARED)
    sections: dict[str, Any] = {
        "locks": {"give_up_after": "1 minute"},
        "store": {"keep": "2 years"},
    }
    path = write(tmp_path, "app.yaml", a_policy(**sections))
    merged = {**SHARED, **a_policy(), **sections}
    del merged["extends"]
    merged["store"] = {**SHARED["store"], **sections["store"]}
    merged["locks"] = {**SHARED["locks"], **sections["locks"]}
    alone = load_policy(write(tmp_path, "alone.yaml", merged))
    extended = load_policy(path)
    assert extended.model_dump() == alone.model_dump()
    assert extended.hash == alone.hash
    assert extended.bloat is None
    assert extended.statistics is not None


def test_lists_and_values_of_a_file_replace_those_of_the_extended_one(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", {**SHARED, "statistics": {"dead_rows": 7}})
    changed = a_policy(alerts={"sinks": []}, bloat={}, statistics={"dead_rows": 8})
    policy = load_policy(write(tmp_path, "app.yaml", changed))
    assert policy.alerts.sinks == ()
    assert policy.bloat is not None
    assert policy.statistics is not None
    assert policy.statistics.dead_rows == 8


def test_folder_has_a_policy_for_each_database_and_none_for_what_they_share(tmp_path: Path) -> None:
    write(tmp_path, "all.yaml", {"locks": {"lock_timeout": "10 ms"}})
    write(tmp_path, "shared.yaml", {"extends": "all.yaml", **SHARED, "locks": {}})
    for name in ("one", "two"):
        write(tmp_path, f"{name}.yaml", a_policy(name))
    found = load_policies([tmp_path])
    assert found.broken == ()
    assert [policy.database.name for policy in found.loaded] == ["one", "two"]
    assert {policy.locks.lock_timeout.total_seconds() for policy in found.loaded} == {0.01}


def test_policy_that_another_extends_stays_one(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", {**a_policy("one"), "extends": "shared.yaml"})
    write(tmp_path, "shared.yaml", SHARED)
    write(tmp_path, "two.yaml", a_policy("two", extends="one.yaml"))
    found = load_policies([tmp_path])
    assert [policy.database.name for policy in found.loaded] == ["one", "two"]


def test_file_without_a_database_that_none_extends_is_broken(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", SHARED)
    write(tmp_path, "app.yaml", {key: v for key, v in a_policy().items() if key != "extends"})
    found = load_policies([tmp_path])
    assert [each.path.name for each in found.broken] == ["shared.yaml"]


def test_fault_is_told_in_the_file_that_has_it(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", "store:\n  keep: 25 moons\nlocks:\n  lock_timout: 1 s\n")
    path = write(tmp_path, "app.yaml", {**a_policy(), "partitions": [{"table": "public.events"}]})
    told = faults(path)
    assert ("shared.yaml", 2, "store.keep", ProblemReason.UNKNOWN_VALUE) in told
    assert ("shared.yaml", 4, "locks.lock_timout", ProblemReason.UNKNOWN_KEY) in told
    assert ("app.yaml", "partitions[0].column") in [(file, key) for file, _, key, _ in told]
    assert len(told) == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("shard.yaml", ProblemReason.NO_SUCH_FILE),
        ("../shared.yaml", ProblemReason.MALFORMED),
        ("/etc/passwd", ProblemReason.MALFORMED),
        ("", ProblemReason.MALFORMED),
        (".", ProblemReason.MALFORMED),
        ("..", ProblemReason.NO_SUCH_FILE),
        ("app.yaml", ProblemReason.SELF_REFERENCE),
        ("circle.yaml", ProblemReason.SELF_REFERENCE),
        ("x" * 5000, ProblemReason.UNREADABLE),
        ("binary.yaml", ProblemReason.UNREADABLE),
        ("list.yaml", ProblemReason.WRONG_TYPE),
        ("no.yaml", ProblemReason.NOT_YAML),
        (7, ProblemReason.WRONG_TYPE),
        ([], ProblemReason.WRONG_TYPE),
    ],
)
def test_what_can_not_be_extended_is_refused(
    tmp_path: Path, name: object, reason: ProblemReason
) -> None:
    write(tmp_path, "shared.yaml", SHARED)
    write(tmp_path, "circle.yaml", {"extends": "app.yaml"})
    write(tmp_path, "list.yaml", ["a"])
    write(tmp_path, "no.yaml", "a: [")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    path = write(tmp_path, "app.yaml", {**a_policy(), "extends": name})
    told = faults(path)
    assert [each[3] for each in told] == [reason], told


def test_alias_in_a_file_is_filled_in_one_place_only(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", {"statistics": {"dead_rows": 7}})
    text = "extends: shared.yaml\ndatabase: {name: app, url: {env: A}}\n"
    path = write(tmp_path, "app.yaml", f"{text}statistics: &none {{}}\ncapacity: *none\n")
    policy = load_policy(path)
    assert policy.statistics is not None
    assert policy.statistics.dead_rows == 7
    assert policy.capacity is not None


def test_alerts_of_a_broken_policy_go_where_the_extended_file_says(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", SHARED)
    part = alerting_part(write(tmp_path, "app.yaml", {**a_policy(), "partitions": "x"}))
    assert isinstance(part, Policy)
    assert [sink.type for sink in part.alerts.sinks] == ["webhook"]


def test_command_line_tells_the_file_and_line_of_the_extended_file(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", "\nlocks: 3\n")
    path = write(tmp_path, "app.yaml", a_policy())
    done = CliRunner().invoke(cli, ["check", "--policy", str(path)])
    assert done.exit_code == 2
    assert "shared.yaml:2:8: locks: found 3" in " ".join(done.stderr.split())
    assert json.loads(CliRunner().invoke(cli, ["check", "--schema"]).stdout)["properties"][
        "extends"
    ]


# One database of many


def of_one(folder: Path, name: str) -> list[tuple[str, str]]:
    """The loaded policies of a folder by file and database, without those of other databases."""
    every = load_policies([folder]).loaded
    asked = load_policies([folder], [name]).loaded
    wanted = [(each.path.name, each.hash) for each in every if each.database.name == name]
    assert [(p.path.name, p.hash) for p in asked if p.database.name == name] == wanted
    return [(policy.path.name, policy.database.name) for policy in asked]


def test_files_that_do_not_name_a_database_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "shared.yaml", SHARED)
    for name in ("shop", "shop_eu", "eu"):
        write(tmp_path, f"{name}.yaml", a_policy(name))
    write(tmp_path, "broken.yaml", "database: {name: other, url")
    assert of_one(tmp_path, "shop") == [("shop.yaml", "shop")]
    assert of_one(tmp_path, "shop_eu") == [("shop_eu.yaml", "shop_eu")]
    assert load_policies([tmp_path], ["shop"]).broken == ()
    assert of_one(tmp_path, "none") == []


def test_name_that_an_extended_file_gives_is_found(tmp_path: Path) -> None:
    write(tmp_path, "first.yaml", "extends: named.yaml\nbloat: off")
    write(tmp_path, "named.yaml", {**SHARED, "database": a_policy("shop")["database"]})
    write(tmp_path, "second.yaml", "extends: first.yaml\nstatistics: off")
    assert of_one(tmp_path, "shop") == [("first.yaml", "shop")]


def test_name_that_is_written_with_escapes_is_found(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", 'database: {name: "sh\\x6fp", url: {env: A}}')
    write(tmp_path, "b.yaml", "database: {name: shop, url: {env: B}}")
    assert of_one(tmp_path, "shop") == [("a.yaml", "shop")]
