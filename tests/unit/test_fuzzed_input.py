"""Damaged archives and saved plans: one clear error, and nothing is read or run."""

import hashlib
import json
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintenance.archives import ArchivePlace, Manifest, read_manifest, verify_archive
from maintenance.archives.checksum import Tally
from maintenance.archives.formats import encoding
from maintenance.archives.manifest import Column, Content, Data
from maintenance.archives.objects import Folder
from maintenance.cli.commands import cli
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.saved_plan import ReviewedPlan
from maintenance.errors import ArchiveError, PolicyError
from maintenance.names import QualifiedName
from maintenance.policy import load_policy
from tests.fuzz import Fuzz, fuzzed
from tests.mutations import mutated_bytes
from tests.policies import write_policy

ROWS = b"".join(b"%d\tsome text \\\\N %d\t\\N\n" % (i, i * 7) for i in range(500))
COLUMNS = (Column(name="id", type="bigint"), Column(name="note", type="text"))


@pytest.fixture
def place(tmp_path: Path) -> ArchivePlace:
    """A small archive as the product writes it."""
    place = ArchivePlace(str(tmp_path), "app", QualifiedName("public", "events"), "2024-01")
    folder, stored, tally = Folder(place), bytearray(), Tally()
    with encoding("copy", COLUMNS, "UTF8", stored.extend) as encoder:
        encoder.take(ROWS)
        tally.take(ROWS)
    data = Data(
        name="data.copy.zst",
        format="copy",
        compression="zstd",
        encoding="UTF8",
        size_bytes=len(stored),
        sha256=hashlib.sha256(stored).hexdigest(),
    )
    digest = tally.digest
    manifest = Manifest(
        database="app",
        table=place.table,
        partition=QualifiedName("public", "events_2024_01"),
        period="2024-01",
        bound="FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        lower=None,
        upper=None,
        key="at",
        columns=COLUMNS,
        constraints=(),
        indexes=(),
        schema_sql="",
        content=Content(n_rows=digest.n_rows, n_bytes=len(ROWS), sha256=digest.sha256),
        data=data,
        server_version="18",
        policy_hash="0",
        run_id="r",
        written_at="2026-11-20T00:00:00+00:00",  # pyright: ignore[reportArgumentType]
    )
    folder.put(data.name, bytes(stored))
    folder.put("manifest.json", manifest.sealed(None).to_json())
    return place


def _flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _doubled(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + content[max(0, at - rng.randint(1, 99)) :]


def _noise(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randint(1, 50)) + content[at + 20 :]


def _swapped_words(content: bytes, rng: random.Random) -> bytes:
    words = content.split(b'"')
    one, other = rng.randrange(len(words)), rng.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return b'"'.join(words)


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [
    _flipped,
    _cut,
    _doubled,
    _noise,
    _swapped_words,
]


FILES = {"archive manifests": "manifest.json", "archived rows": "data.copy.zst"}


@fuzzed(*FILES)
def test_a_damaged_archive_is_never_taken_for_a_whole_one(place: ArchivePlace, fuzz: Fuzz) -> None:
    path = Path(place.url).joinpath(*place.segments, FILES[fuzz.kind])
    whole = path.read_bytes()

    def is_whole(rng: random.Random) -> bool:
        damaged = rng.choice(DAMAGES)(whole, rng)
        path.write_bytes(damaged)
        try:
            manifest = read_manifest(place)
            assert manifest is not None
            verify_archive(place, manifest)
        except ArchiveError:
            return False
        assert damaged == whole or _same(damaged, whole), "taken for whole"
        return True

    assert fuzz.seed(is_whole) < fuzz.n / 10
    path.write_bytes(whole)
    manifest = read_manifest(place)
    assert manifest is not None
    verify_archive(place, manifest)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a database to which nobody may connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


@fuzzed("saved plans")
def test_a_damaged_plan_or_policy_is_refused_before_any_connection(
    tmp_path: Path, port: int, fuzz: Fuzz
) -> None:
    steps = (Step(("DROP TABLE public.events_10",)),)
    action = Action(ActionKind.DROP_PARTITION, "public.events_10", steps, "expired", table="t")
    plan = json.dumps(ReviewedPlan("app", "hash", (), (action.as_json(),)).as_json()).encode()
    url = f"postgresql://u@127.0.0.1:{port}/d?connect_timeout=1"
    policy, saved = write_policy(tmp_path, url), tmp_path / "plan.json"
    text = policy.read_bytes()

    def is_still_right(rng: random.Random) -> bool:
        damages_plan = rng.randrange(2) == 0
        damaged = mutated_bytes(plan if damages_plan else text, rng)
        saved.write_bytes(damaged if damages_plan else plan)
        policy.write_bytes(text if damages_plan else damaged)
        if _same(damaged, plan) if damages_plan else _is_policy(policy):
            return True
        result = CliRunner().invoke(cli, ["apply", "--policy", str(policy), "--plan", str(saved)])
        assert result.exit_code == 2, f"{result.output} {result.exception}"
        return False

    fuzz.seed(is_still_right)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _is_policy(path: Path) -> bool:
    try:
        load_policy(path)
    except PolicyError:
        return False
    return True
