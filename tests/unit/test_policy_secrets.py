"""A literal secret never shows; a reference names its variable."""

import pickle
from pathlib import Path

import pytest

from maintenance.errors import PolicyError, UsageError
from maintenance.policy import Policy, Url, load_policy

PASSWORD = "hunter2"
URL = f"postgresql://app:{PASSWORD}@db/shop"


def load(folder: Path, text: str) -> Policy:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return load_policy(path)


def test_literal_url_shows_nowhere_but_resolves(tmp_path: Path) -> None:
    policy = load(tmp_path, f'database: {{name: shop, url: "{URL}"}}\n')
    assert policy.database.url.resolve({}) == URL
    assert policy.database.url.label == "literal"
    shown = [repr(policy), str(policy), policy.model_dump_json(), str(policy.model_dump())]
    assert not [text for text in shown if PASSWORD in text]
    assert f"{policy.database.url}" == "literal"


def test_hash_has_nothing_of_a_literal_url(tmp_path: Path) -> None:
    one = load(tmp_path, f'database: {{name: shop, url: "{URL}"}}\n')
    other = load(tmp_path, 'database: {name: shop, url: "postgresql://app:other@db/shop"}\n')
    assert one.hash == other.hash


def test_policy_survives_pickling(tmp_path: Path) -> None:
    policy = load(tmp_path, f'database: {{name: shop, url: "{URL}"}}\n')
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize(
    "text",
    [
        f"database: {URL}\n",
        f"database: {{name: {URL}, url: mysql://u:{PASSWORD}@h/d}}\n",
        f"database: {{name: shop, ulr: {URL}}}\n",
        f"database: {{name: shop, url: [{URL}]}}\n",
        f"database: {{name: shop, url: {{evn: {URL}}}}}\n",
        f"database: {{name: shop, url: {{env: {URL}}}}}\n",
        f"database: {{name: shop, url: {{env: [{PASSWORD}]}}}}\n",
        f"database: {{name: shop, url: {{env: A, password: {PASSWORD}}}}}\n",
        f"database: {{name: shop, url: host=db password={PASSWORD}}}\n",
        f"database: {{name: host=db password={PASSWORD}, url: x}}\n",
        f"database: {{name: shop, url: !{PASSWORD} x}}\n",
        f"database: {{name: shop, url: *{PASSWORD}}}\n",
        f'database: {{name: shop, ? "{URL}" : 1, ? "{URL}" : 2}}\n',
        f"redis: {{url: memcached://{PASSWORD}@h}}\n",
        f"redis: {{url: {{env: A}}}}\nalerts: {{ping: {PASSWORD}}}\n",
        f"alerts: {{sinks: [{{type: webhook, url: {{env: A}}, secret: [{PASSWORD}]}}]}}\n",
        f"alerts: {{sinks: [slack://{PASSWORD}/x]}}\n",
    ],
)
def test_secret_in_a_wrong_place_is_not_processed(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(caught.value.problems)


@pytest.mark.parametrize(
    "reference", ["{env: }", "{env: 3}", "{env: A B}", "{env: A, x: 1}", "{}", "[]", "3", "''", "A"]
)
def test_reference_of_wrong_shape_says_the_right_one(tmp_path: Path, reference: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, f"database: {{name: shop, url: {reference}}}\n")
    (told,) = caught.value.problems
    assert (told.key, told.reason) == ("database.url", "malformed")


@pytest.mark.parametrize("written", ["SHOP_URL", "$SHOP_URL", "${SHOP_URL}"])
def test_bare_variable_is_told_how_to_refer(tmp_path: Path, written: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, f'database: {{name: shop, url: "{written}"}}\n')
    (told,) = caught.value.problems
    assert (told.key, told.reason) == ("database.url", "malformed")
    assert told.hint


def test_missing_variable_is_named_with_its_key(tmp_path: Path) -> None:
    policy = load(tmp_path, "database: {name: shop, url: {env: SHOP}, replicas: [{env: COPY}]}\n")
    with pytest.raises(UsageError, match=r"database\.url: .*\bSHOP\b"):
        policy.database.url.resolve({})
    with pytest.raises(UsageError, match=r"database\.replicas: .*\bCOPY\b") as caught:
        policy.database.replicas[0].resolve({"COPY": ""})
    assert "COPY" in caught.value.hint
    assert policy.database.url.resolve({"SHOP": URL}) == URL


def test_reference_shows_its_variable() -> None:
    assert Url(env="SHOP").label == str(Url(env="SHOP")) == "SHOP"
