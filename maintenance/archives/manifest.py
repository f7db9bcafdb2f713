"""The manifest of an archive: what was archived, and the proof of it."""

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
"""Raised when an older version of this software could misread what is written."""

SEAL = "seal"
"""The field that holds a hash of all others, so that an altered manifest is noticed."""

KEYED = "hmac-sha256:"
"""Before a hash that only who knows the policy's `archive.key` can make."""


def _read_name(value: object) -> QualifiedName:
    if isinstance(value, QualifiedName):
        return value
    if not isinstance(value, str):
        raise ValueError("wanted a SQL name")  # noqa: TRY004 - pydantic collects ValueErrors
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
    """An index that stands behind no constraint."""

    name: Identifier
    definition: str


class Content(_Section):
    """What was archived, independent of how it is stored.

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
    """The object that holds the rows.

    Attributes:
        name: beside the manifest, in the same folder.
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
    """Everything that is known of one archived partition.

    Attributes:
        partition_oid: of the table that was archived; tells it from a later one of that name.
        period: the key of its period, such as `2024-01`.
        bound: as pg_get_expr showed it under TimeZone UTC.
        lower: the bound as a moment; None where it is open.
        key: the column of the partition key.
        columns: all of them; generated ones are not among the data.
        schema_sql: creates a standalone table with the same columns, checks, keys and indexes.
        policy_hash: of the policy under which it was archived.
        run_id: of the run that did it.
        seal: the hash of all this, once it is written or was read.
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
        """What `content_digest` of the same table returns while nothing changed."""
        return Digest(self.content.n_rows, self.content.sha256)

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns whose values are among the data, in their order."""
        return tuple(column.name for column in self.columns if column.generated is None)

    def sealed(self, key: str | None) -> "Manifest":
        """Return the manifest with its seal, which nobody without the key can make anew."""
        return self.model_copy(update={SEAL: seal_of(self.model_dump(mode="json"), key)})

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`."""
        facts = self.model_dump(mode="json")
        return json.dumps({**facts, SEAL: self.seal}, indent=2).encode() + b"\n"


class _Head(BaseModel):
    format: int


def parse_manifest(place: ArchivePlace, text: bytes) -> Manifest:
    """Read the bytes of `manifest.json`.

    Raises:
        DamagedArchiveError: truncated, damaged or altered.
        ArchiveError: of a newer format, or of another archive.
    """
    if rb"\u0000" in text:
        raise _damaged(place, "damaged: no name or definition holds a NUL")
    try:
        found = _Head.model_validate_json(text).format
        if found > FORMAT:
            raise ArchiveError(
                f"archive {place}: its format is {found}, this version reads up to {FORMAT}",
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
    """Hash all fields, those of later versions among them, however they are laid out."""
    text = json.dumps(facts, sort_keys=True).encode()
    if key is None:
        return hashlib.sha256(text).hexdigest()
    return KEYED + hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def _check_seal(place: ArchivePlace, facts: dict[str, Any]) -> None:
    found = facts.pop(SEAL, None)
    if not isinstance(found, str) or not found:
        raise _damaged(place, "without its seal: it is not the one that was written", "unsealed")
    is_keyed = found.startswith(KEYED)
    if place.key is not None and not is_keyed:
        raise ArchiveError(
            f"archive {place}: {MANIFEST} is sealed without a key, and the policy has an"
            " archive.key; it may have been written by somebody else, so it is not used",
            hint="if it is older than the key and only you can write to the store, leave"
            " archive.key out of the policy for this one run",
        )
    if place.key is None and is_keyed:
        raise ArchiveError(
            f"archive {place}: {MANIFEST} is sealed with a key, and the policy has none",
            hint="set partitions.retention.archive.key to the key with which it was written",
        )
    if not hmac.compare_digest(found, seal_of(facts, place.key)):
        raise _damaged(place, "altered: it is not the one that was written", "altered")


def _damaged(place: ArchivePlace, what: str, reason: str = "damaged") -> DamagedArchiveError:
    return DamagedArchiveError(
        f"archive {place}: {MANIFEST} is {what}",
        hint="nothing is written over it, nothing dropped: bring the file back from a copy of the"
        " store, or move the folder away while the partition exists, and run again",
        reason=reason,
    )


def _check_identity(place: ArchivePlace, manifest: Manifest) -> None:
    found = (manifest.database, manifest.table, manifest.period)
    if found != (place.database, place.table, place.period):
        raise ArchiveError(
            f"archive {place}: it holds {manifest.period} of {manifest.table}"
            f" of database {manifest.database}",
            hint="two archives share a folder, or one was moved by hand",
            reason="another_archive",
        )
