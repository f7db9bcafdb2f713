"""Reading of policy files; one may extend another of its folder, such as settings that many share.

Only of its folder: relative paths begin there, so they mean the same in both files.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path

import yaml

from maintenance.errors import PolicyError, Problem, ProblemReason
from maintenance.policy.paths import looked_for
from maintenance.policy.yaml_document import Document, line_and_column, read_document

_EXTENDS = "extends"


class BrokenPolicyError(PolicyError):
    """A policy file that can't be used.

    Attributes:
        path: the file, as given.
    """

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.path = path


def read_policy_file(path: Path) -> Document:
    """Read a policy file, and fill in what it lacks from the file that it extends.

    Raises:
        BrokenPolicyError: the file is unreadable or no UTF-8 text; other faults, also those of the
            extended file, are among the document's problems.
    """
    return read_policy_text(_text(path), path)


def read_policy_text(text: str, path: Path) -> Document:
    """Read the text of a policy file, as `read_policy_file`.

    Args:
        text: of the file.
        path: where the file is, or will be.
    """
    return _read(text, path, ())


def _read(text: str, path: Path, above: tuple[Path, ...]) -> Document:
    document = read_document(text, str(path))
    base = _base(document, path, (*above, path))
    if base is None:
        return document
    try:
        extended = _read(_text(base), base, (*above, path))
    except BrokenPolicyError as error:
        document.problems += error.problems
        return document
    document.bases = (base, *extended.bases)
    document.problems += extended.problems
    if isinstance(extended.root, yaml.MappingNode):
        document.fill(extended)
    elif extended.root is not None:
        wanted = "a mapping of keys and values"
        document.problems.append(
            extended.problem(extended.root, "", ProblemReason.WRONG_TYPE, wanted)
        )
    return document


def _base(document: Document, path: Path, above: Sequence[Path]) -> Path | None:
    """Return the file that a document extends; None if it extends none, or none that is usable."""
    match document.data:
        case {"extends": str(name)}:
            base = path.parent / name
        case _:
            return None  # the model refuses other types
    _, _, node = document.find((_EXTENDS,))
    fault = _fault(name, base, above)
    if fault is None:
        return base
    reason, wanted, hint = fault
    document.problems.append(document.problem(node, _EXTENDS, reason, wanted, hint))
    return None


def _fault(name: str, base: Path, above: Sequence[Path]) -> tuple[ProblemReason, str, str] | None:
    """Return why a file can't be extended: reason, what is wanted, and a hint."""
    if not name or "\0" in name or Path(name).name != name:
        return ProblemReason.MALFORMED, "the name of a file in the same folder", ""
    try:
        is_file, is_above = base.is_file(), base.resolve() in [each.resolve() for each in above]
    except (OSError, RuntimeError):  # name too long, or a loop of symbolic links
        return ProblemReason.UNREADABLE, "the name of a file in the same folder", ""
    if not is_file:
        return ProblemReason.NO_SUCH_FILE, "a file in the same folder", looked_for(base)
    if is_above:
        return ProblemReason.SELF_REFERENCE, "a file that does not extend this one", ""
    return None


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            found = "a folder" if path.is_dir() else "not a regular file"
            raise BrokenPolicyError(path, [_unreadable(path, found, "a policy file")])
        raw = path.read_bytes()
    except OSError as error:
        found = (error.strerror or "an error").lower()
        problem = _unreadable(path, found, "a readable policy file")
        raise BrokenPolicyError(path, [problem]) from error
    return _decoded(path, raw.removeprefix(BOM_UTF8))


def _unreadable(path: Path, found: str, wanted: str) -> Problem:
    return Problem(str(path), 0, 0, "", ProblemReason.UNREADABLE, found, wanted)


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line, column = line_and_column(raw[: error.start].decode())
        found = f"the byte 0x{raw[error.start]:02X}"
        problem = Problem(
            str(path), line, column, "", ProblemReason.UNREADABLE, found, "UTF-8 text"
        )
        raise BrokenPolicyError(path, [problem]) from error
