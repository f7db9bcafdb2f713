"""The manifest of an archive: the archived table, and the hashes of its content."""

import hashlib
import hmac
import json
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
)

from maintenance.archives.checksum import Digest
from maintenance.archives.location import ArchivePlace
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import QualifiedName, parse_name

MANIFEST = "manifest.json"
FORMAT = 1
"""Increased when an older version of this software could misread the format."""

SEAL = "seal"
"""The field with a hash of all other fields, to detect an altered manifest."""

KEYED = "hmac-sha256:"
"""Prefix of a hash that requires the `archive.key` of the policy."""


def _read_name(value: object) -> QualifiedName:
    if isinstance(value, QualifiedName):
        return value
    if not isinstance(value, str):
        raise ValueError("not a SQL name")  # noqa: TRY004 - pydantic collects ValueErrors
    return parse_name(value)


Name = Annotated[QualifiedName, PlainValidator(_read_name), PlainSerializer(str)]
"""A qualified name, in JSON as PostgreSQL quotes it."""

Identifier = Annotated[str, Field(min_length=1)]
"""A name of a column, constraint or index, unquoted."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Column(_Section):
    """A column. Expressions are SQL text; `type` has its length or precision."""

    name: Identifier
    type: str
    collation: str | None = None
    not_null: bool = False
    identity: str | None = None
    generated: str | None = None
    default: str | None = None


class Constraint(_Section):
    """A constraint: kind `p`, `u`, `x`, `c` or `f`, as in pg_constraint.contype."""

    name: Identifier
    kind: str
    definition: str


class Index(_Section):
    """An index that belongs to no constraint."""

    name: Identifier
    definition: str


class Content(_Section):
    """The archived content, independent of the format.

    Attributes:
        sha256: of the COPY text, before compression; see `content_digest`.
        n_bytes: of the COPY text.
        key_min: smallest partition key as text, in UTC; None without rows or key.
        key_max: the largest.
    """

    n_rows: int
    n_bytes: int
    sha256: str
    key_min: str | None = None
    key_max: str | None = None


class Data(_Section):
    """The object with the rows.

    Attributes:
        name: in the folder of the manifest.
        sha256: of the object as it is stored.
        encoding: of its text, as PostgreSQL names it.
    """

    name: Annotated[str, Field(pattern=r"^data[-.\w]*$")]
    format: Literal["copy", "parquet"]
    compression: str
    encoding: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    size_bytes: int
    sha256: str


class Manifest(_Section):
    """All facts about one archived partition.

    Attributes:
        partition_oid: of the archived table; distinguishes it from a later one of that name.
        period: the key of its period, such as `2024-01`.
        bound: as pg_get_expr showed it under TimeZone UTC.
        lower: the bound as a moment; None if it is open.
        key: the column of the partition key.
        columns: all columns; the data do not contain generated ones.
        schema_sql: creates a standalone table with the same columns, checks, keys and indexes.
        policy_hash: of the policy under which it was archived.
        run_id: of the run that archived it.
        seal: the hash of all other fields, after it is written or read.
    """

    format: int = FORMAT
    database: str
    table: Name
    partition: Name
    partition_oid: int | None = None
    period: str
    bound: str
    lower: AwareDatetime | None
    upper: AwareDatetime | None
    key: str | None
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    indexes: tuple[Index, ...]
    schema_sql: str
    content: Content
    data: Data
    server_version: str
    software: str = f"maintenance {version('maintenance')}"
    policy_hash: str
    run_id: str
    written_at: AwareDatetime
    seal: str = Field(default="", exclude=True)

    @property
    def n_rows(self) -> int:
        """Rows archived."""
        return self.content.n_rows

    @property
    def digest(self) -> Digest:
        """The result of `content_digest` for the same table if nothing has changed."""
        return Digest(self.content.n_rows, self.content.sha256)

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns that the data contain, in their order."""
        return tuple(column.name for column in self.columns if column.generated is None)

    def sealed(self, key: str | None) -> "Manifest":
        """Return the manifest with its seal, which can't be forged without the key."""
        return self.model_copy(update={SEAL: seal_of(self.model_dump(mode="json"), key)})

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`."""
        facts = self.model_dump(mode="json")
        return json.dumps({**facts, SEAL: self.seal}, indent=2).encode() + b"\n"


class _Head(BaseModel):
    format: int


def parse_manifest(place: ArchivePlace, text: bytes) -> Manifest:
    """Parse the bytes of `manifest.json`.

    Raises:
        DamagedArchiveError: it is truncated, damaged or altered.
        ArchiveError: it has a newer format, or belongs to another archive.
    """
    if rb"\u0000" in text:
        raise _damaged(place, "damaged: a name or definition contains a NUL")
    try:
        found = _Head.model_validate_json(text).format
        if found > FORMAT:
            raise ArchiveError(
                f"archive {place}: its format is {found}, but this version reads up to {FORMAT}",
                hint="use the version of maintenance that wrote it, or a newer one",
                reason="newer_format",
            )
        manifest = Manifest.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"truncated or damaged: {f'{where}: ' if where else ''}{first['msg']}"
        raise _damaged(place, what) from exc
    _check_seal(place, json.loads(text))
    _check_identity(place, manifest)
    return manifest


def seal_of(facts: dict[str, Any], key: str | None) -> str:
    """Hash all fields, including those of later versions, independent of their layout."""
    text = json.dumps(facts, sort_keys=True).encode()
    if key is None:
        return hashlib.sha256(text).hexdigest()
    return KEYED + hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def _check_seal(place: ArchivePlace, facts: dict[str, Any]) -> None:
    found = facts.pop(SEAL, None)
    if not isinstance(found, str) or not found:
        raise _damaged(place, "without a seal: it is not the one that was written", "unsealed")
    is_keyed = found.startswith(KEYED)
    if place.key is not None and not is_keyed:
        raise ArchiveError(
            f"archive {place}: not used: {MANIFEST} is sealed without a key, but the policy has an"
            " archive.key, so it may have been written by another program",
            hint="if it is older than the key and only you can write to the archive storage, remove"
            " archive.key from the policy for this one run",
        )
    if place.key is None and is_keyed:
        raise ArchiveError(
            f"archive {place}: {MANIFEST} is sealed with a key, but the policy has none",
            hint="set partitions.retention.archive.key to the key with which it was written",
        )
    if not hmac.compare_digest(found, seal_of(facts, place.key)):
        raise _damaged(place, "altered: it is not the one that was written", "altered")


def _damaged(place: ArchivePlace, what: str, reason: str = "damaged") -> DamagedArchiveError:
    return DamagedArchiveError(
        f"archive {place}: {MANIFEST} is {what}",
        hint="it is not overwritten, and nothing is dropped: restore the file from a backup of the"
        " archive storage, or, if the partition still exists, move the folder away and run again",
        reason=reason,
    )


def _check_identity(place: ArchivePlace, manifest: Manifest) -> None:
    found = (manifest.database, manifest.table, manifest.period)
    if found != (place.database, place.table, place.period):
        raise ArchiveError(
            f"archive {place}: it contains {manifest.period} of {manifest.table}"
            f" of database {manifest.database}",
            hint="check whether two archives share a folder, or one was moved by hand",
            reason="another_archive",
        )
