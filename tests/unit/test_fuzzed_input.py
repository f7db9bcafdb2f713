"""Arbitrary input files: one clear error or a valid value."""

import hashlib
import json
import random
import re
import socket
from collections.abc import Callable
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
from tests.builders import ROOT
from tests.mutations import mutated_bytes
from tests.policies import write_policy

EXAMPLE = Path(__file__).with_name("test_policy_example.yaml")

HOSTILE = (
    *("", "null", "~", "-1", "1e999", "0x10", "0o7", ".nan", "[]", "{}", "{a: b}", "[[[[[[", "'"),
    *(
        '"',
        "\t",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\ud7ff",
        "\ufeff",
        "&a",
        "*a",
        "!!python/object",
        "<<",
    ),
    *(
        "9" * 40,
        "x" * 5000,
        "2024-13-45",
        "1 fortnight",
        "-3 days",
        "env",
        "{env: }",
        "{env: 'A B'}",
    ),
    *("postgresql://u:p@/s@h/d", "%00", 'public."a""', "a.b.c", "* * * *", "99 99 * * *", "true"),
)

LONG = (pytest.mark.slow, pytest.mark.timeout(1800))

n_policies = pytest.mark.parametrize(
    "n", [pytest.param(200, id="some"), pytest.param(12_500, marks=LONG, id="many")]
)


def _mutated(text: str, rng: random.Random) -> str:
    """Change a few places of a policy: words, lines, indentation, single characters."""
    for _ in range(rng.randint(1, 4)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines[at] = re.sub(r": .*", lambda _: ": " + rng.choice(HOSTILE), lines[at])
            case 2:
                lines[at] = " " * rng.randint(0, 6) + lines[at].lstrip()
            case 3:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 4:
                place = rng.randint(0, len(lines[at]))
                lines[at] = lines[at][:place] + rng.choice(HOSTILE) + lines[at][place:]
            case _:
                lines[at] = re.sub(r"\w+", lambda _: rng.choice(HOSTILE), lines[at], count=1)
        text = "\n".join(lines)
    return text


@n_policies
def test_a_policy_of_any_content_is_loaded_or_refused(tmp_path: Path, n: int) -> None:
    text = EXAMPLE.read_text()
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    path = tmp_path / "policies" / "policy.yaml"
    path.parent.mkdir()
    loaded = 0
    for seed in range(n):
        changed = _mutated(text, random.Random(seed))
        path.write_bytes(changed.encode("utf-8", "surrogatepass"))
        try:
            load_policy(path)
            loaded += 1
        except PolicyError:
            continue
        except Exception as error:  # noqa: BLE001 - any other would be a traceback
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
    assert 0 < loaded < n


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


@pytest.mark.parametrize(
    "n", [pytest.param(150, id="some"), pytest.param(4_000, marks=LONG, id="many")]
)
@pytest.mark.parametrize("name", ["manifest.json", "data.copy.zst"])
def test_a_damaged_archive_is_never_taken_for_a_whole_one(
    place: ArchivePlace, name: str, n: int
) -> None:
    path = Path(place.url).joinpath(*place.segments, name)
    whole = path.read_bytes()
    n_refused = 0
    for seed in range(n):
        rng = random.Random(seed)
        damaged = rng.choice(DAMAGES)(whole, rng)
        path.write_bytes(damaged)
        try:
            manifest = read_manifest(place)
            assert manifest is not None
            verify_archive(place, manifest)
        except ArchiveError:
            n_refused += 1
        else:
            same = damaged == whole or json.loads(damaged) == json.loads(whole)
            assert same, f"seed {seed}: taken for whole"
    assert n_refused > n * 0.9
    path.write_bytes(whole)
    manifest = read_manifest(place)
    assert manifest is not None
    verify_archive(place, manifest)


@pytest.mark.parametrize(
    "n", [pytest.param(250, id="some"), pytest.param(10_000, marks=LONG, id="many")]
)
def test_a_damaged_plan_or_policy_is_refused_before_any_connection(tmp_path: Path, n: int) -> None:
    steps = (Step(("DROP TABLE public.events_10",)),)
    action = Action(ActionKind.DROP_PARTITION, "public.events_10", steps, "expired", table="t")
    plan = json.dumps(ReviewedPlan("app", "hash", (), (action.as_json(),)).as_json()).encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/d?connect_timeout=1"
        policy, saved = write_policy(tmp_path, url), tmp_path / "plan.json"
        text = policy.read_bytes()
        for seed in range(n):
            rng = random.Random(seed)
            saved.write_bytes(plan)
            policy.write_bytes(text)
            damaged = mutated_bytes(plan if seed % 2 else text, rng)
            if seed % 2:
                if _same(damaged, plan):
                    continue
                saved.write_bytes(damaged)
            else:
                policy.write_bytes(damaged)
                if _is_policy(policy):
                    continue
            result = CliRunner().invoke(
                cli, ["apply", "--policy", str(policy), "--plan", str(saved)]
            )
            assert result.exit_code == 2, f"seed {seed}: {result.output} {result.exception}"
            with pytest.raises(BlockingIOError):
                server.accept()


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
