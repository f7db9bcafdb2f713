"""Paths in a policy, relative to the file they are written in."""

from collections.abc import Callable
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, SerializationInfo, ValidationInfo, WithJsonSchema
from pydantic.functional_validators import PlainValidator

from maintenance.names import near
from maintenance.policy.base import refused
from maintenance.policy.urls import UrlError, check_url, public_parts, secret_parts
from maintenance.redaction import remember

_ARCHIVE = "a path, or a url that fsspec knows, such as s3://bucket/archive"


def _folder(info: ValidationInfo) -> Path | None:
    """Return the policy file's folder; None where a section is read apart from any file."""
    context: dict[str, Any] = info.context or {}
    return context.get("folder")


def is_in_file(info: ValidationInfo) -> bool:
    """Whether what is read stands in a policy file, whose paths then exist."""
    return _folder(info) is not None


def _note(info: ValidationInfo, resolved: object, value: object) -> None:
    """Remember how the file writes a path, for whoever compares files of two machines."""
    context: dict[str, Any] = info.context or {}
    context.get("written", {})[str(resolved)] = str(value)


def _as_written(value: object, info: SerializationInfo) -> str:
    """Return a path as its file writes it where that is asked for, else as it was resolved."""
    written: dict[str, str] = info.context or {}
    return written.get(str(value), str(value))


def _existing(
    kind: str, exists: Callable[[Path], bool]
) -> Callable[[object, ValidationInfo], Path]:
    def read(value: object, info: ValidationInfo) -> Path:
        if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
            raise refused(f"the path of {kind}")
        folder = _folder(info)
        if folder is None:
            return Path(value)
        try:
            path = (folder / value).resolve()
            found = exists(path)
        except (OSError, RuntimeError) as error:  # a name too long, a loop of links
            raise refused(f"the path of {kind}") from error
        if not found:
            raise refused(f"the path of {kind}", _where(path))
        _note(info, path, value)
        return path

    return read


def _where(path: Path) -> str:
    siblings = [file.name for file in path.parent.glob("*")] if path.parent.is_dir() else []
    guesses = near(path.name, sorted(siblings), n=1)
    guess = f"; did you mean {guesses[0]}?" if guesses and guesses[0] != path.name else ""
    return f"looked for {path}{guess}"


SqlFile = Annotated[
    Path,
    PlainValidator(_existing("an existing SQL file", Path.is_file)),
    PlainSerializer(_as_written),
    WithJsonSchema({"type": "string", "description": "a SQL file, relative to this file"}),
]
"""A file that exists, absolute once the policy is loaded."""

SqlFolder = Annotated[
    Path,
    PlainValidator(_existing("an existing folder", Path.is_dir)),
    PlainSerializer(_as_written),
    WithJsonSchema({"type": "string", "description": "a folder, relative to this file"}),
]
"""A folder that exists, absolute once the policy is loaded."""


def _read_archive_url(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise refused(_ARCHIVE)
    check_archive_url(value)
    folder = _folder(info)
    if folder is None or "://" in value:
        return value
    path = normpath(folder / value)
    _note(info, path, value)
    return path


def check_archive_url(value: str) -> None:
    """Refuse a url whose secret other parsers would take for a host or a path.

    Raises:
        PydanticCustomError: says which part is wrong, and shows nothing of it.
    """
    if fault := archive_url_fault(value):
        raise refused(_ARCHIVE, fault, found="a url that is not shown")


def archive_url_fault(value: str) -> str:
    """Return which part of an archive url is wrong; empty where none is, and for a path.

    From here on no text that leaves the process shows what is secret in it.
    """
    if "://" not in value:
        return ""
    try:
        check_url(value)
    except UrlError as fault:
        remember(secret_parts(value))
        return str(fault)
    remember(secret_parts(value), public_parts(value))
    return ""


ArchiveUrl = Annotated[
    str,
    PlainValidator(_read_archive_url),
    PlainSerializer(_as_written),
    WithJsonSchema(
        {
            "type": "string",
            "description": "a path relative to this file, or any fsspec url",
            "examples": ["./archive", "s3://bucket/archive"],
        }
    ),
]
"""Where archives go: an absolute path once the policy is loaded, or a url as it is written."""
