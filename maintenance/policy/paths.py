"""Paths in a policy, relative to the policy file."""

from collections.abc import Callable
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, SerializationInfo, ValidationInfo, WithJsonSchema
from pydantic.functional_validators import PlainValidator

from maintenance.errors import ProblemReason
from maintenance.names import near
from maintenance.policy.base import refused
from maintenance.policy.urls import UrlError, check_url, public_parts, secret_parts
from maintenance.redaction import remember

_ARCHIVE = "a path, or a url that fsspec supports, such as s3://bucket/archive"


def _folder(info: ValidationInfo) -> Path | None:
    """Return the policy file's folder; None if the section is not read from a file."""
    context: dict[str, Any] = info.context or {}
    return context.get("folder")


def is_in_file(info: ValidationInfo) -> bool:
    """Whether the value is read from a policy file, whose paths must exist."""
    return _folder(info) is not None


def _note(info: ValidationInfo, resolved: object, value: object) -> None:
    """Remember a path as written in the file, for comparisons between machines."""
    context: dict[str, Any] = info.context or {}
    context.get("written", {})[str(resolved)] = str(value)


def _as_written(value: object, info: SerializationInfo) -> str:
    """Return a path as written in its file if that is asked for, else resolved."""
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
        except (OSError, RuntimeError) as error:  # name too long, or a loop of symbolic links
            raise refused(f"the path of {kind}", reason=ProblemReason.UNREADABLE) from error
        if not found:
            hint = looked_for(path)
            raise refused(f"the path of {kind}", hint, reason=ProblemReason.NO_SUCH_FILE)
        _note(info, path, value)
        return path

    return read


def looked_for(path: Path) -> str:
    """Return where a missing file was looked for, and a file there with nearly its name."""
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
"""An existing file, absolute after loading."""

SqlFolder = Annotated[
    Path,
    PlainValidator(_existing("an existing folder", Path.is_dir)),
    PlainSerializer(_as_written),
    WithJsonSchema({"type": "string", "description": "a folder, relative to this file"}),
]
"""An existing folder, absolute after loading."""

SqlSource = Annotated[
    Path,
    PlainValidator(_existing("an existing SQL file, or a folder of them", Path.exists)),
    PlainSerializer(_as_written),
    WithJsonSchema(
        {"type": "string", "description": "a SQL file or a folder of them, relative to this file"}
    ),
]
"""An existing file or folder, absolute after loading."""


def _read_marker(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise refused("the path of a file")
    folder = _folder(info)
    if folder is None:
        return Path(value)
    path = Path(normpath(folder / value))
    _note(info, path, value)
    return path


MarkerFile = Annotated[
    Path,
    PlainValidator(_read_marker),
    PlainSerializer(_as_written),
    WithJsonSchema({"type": "string", "description": "a file, relative to this file"}),
]
"""A file that need not exist yet, absolute after loading."""


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
    """Refuse a URL whose secret other parsers would take for a host or a path.

    Raises:
        PydanticCustomError: names the invalid part, without its text.
    """
    if fault := archive_url_fault(value):
        raise refused(_ARCHIVE, fault, found="a url (not shown)")


def archive_url_fault(value: str) -> str:
    """Return the invalid part of an archive URL; empty if it is valid or a path.

    From here on the secret parts of the URL are redacted in all output.
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
"""Location of archives: an absolute path after loading, or a URL as written."""
