"""Loading of policy files; an invalid file does not affect the others."""

import os
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from maintenance.errors import PolicyError, Problem, ProblemReason, UsageError
from maintenance.policy.models import Policy
from maintenance.policy.problems import problems_of
from maintenance.policy.yaml_document import Document, line_and_column, read_document

_ALERTING = ("database", "store", "redis", "alerts")
_SMALLEST = "a policy; the smallest is database: with name: and url:"


class BrokenPolicyError(PolicyError):
    """A policy file that can't be used.

    Attributes:
        path: the file, as given.
    """

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.path = path


@dataclass(frozen=True, slots=True)
class Policies:
    """The result of loading policy files.

    Attributes:
        loaded: the policies, in the order of the files.
        broken: one error per invalid file.
    """

    loaded: tuple[Policy, ...]
    broken: tuple[BrokenPolicyError, ...]


def policy_paths(explicit: Sequence[Path], environ: Mapping[str, str]) -> list[Path]:
    """Return the policy paths: as given, else MAINTENANCE_POLICIES, else `policies/`."""
    if explicit:
        return list(explicit)
    listed = environ.get("MAINTENANCE_POLICIES", "").split(os.pathsep)
    return [Path(path) for path in listed if path] or [Path("policies")]


def load_policy(path: Path) -> Policy:
    """Load one policy file.

    Raises:
        PolicyError: the file is invalid; carries every problem, in the order of lines.
    """
    policy, _ = _load(path)
    return policy


def parse_policy(text: str, path: Path) -> Policy:
    """Load a policy from its text.

    Args:
        text: of the file.
        path: where the file is, or will be; its folder is where relative paths begin.

    Raises:
        PolicyError: as `load_policy`.
    """
    policy, _ = _parse(text, path)
    return policy


def load_policies(paths: Sequence[Path]) -> Policies:
    """Load policy files, and the *.yaml and *.yml files of folders.

    Raises:
        UsageError: a path does not exist, or a folder has no policy.
    """
    loaded: dict[str, Policy] = {}
    broken: list[BrokenPolicyError] = []
    for path in _files(paths):
        try:
            policy, document = _load(path)
            _refuse_second(policy, document, loaded)
        except BrokenPolicyError as error:
            broken.append(error)
        else:
            loaded[policy.database.name] = policy
    return Policies(tuple(loaded.values()), tuple(broken))


def alerting_part(path: Path) -> Policy | None:
    """Load only the sections of a policy file that say where alerts are kept and sent.

    For telling that the rest of the file is invalid.

    Returns:
        None if these sections, or the file, can't be read.
    """
    try:
        data = read_document(_text(path), str(path)).data
        if not isinstance(data, Mapping):
            return None
        known = cast("Mapping[str, object]", data)
        part = {name: known[name] for name in _ALERTING if name in known}
        context: dict[str, object] = {"path": path, "folder": path.parent.absolute(), "written": {}}
        return Policy.model_validate(part, context=context)
    except (BrokenPolicyError, ValidationError):
        return None


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of all paths, each once."""
    try:
        files = [file for path in paths for file in _files_at(path)]
    except OSError as error:
        found = (error.strerror or "an error").lower()
        raise UsageError(f"{error.filename}: found {found}, wanted policies") from error
    return list({file.resolve(): file for file in reversed(files)}.values())[::-1]


def _files_at(path: Path) -> Iterator[Path]:
    if not path.exists():
        hint = "name a file or folder with --policy or MAINTENANCE_POLICIES"
        raise UsageError(f"{path}: found nothing, wanted a policy file or a folder", hint=hint)
    if not path.is_dir():
        yield path
        return
    files = [file for file in path.iterdir() if _is_policy(file)]
    if not files:
        raise UsageError(f"{path}: found no *.yaml or *.yml, wanted a policy")
    yield from sorted(files)


def _is_policy(file: Path) -> bool:
    return file.suffix in (".yaml", ".yml") and not file.name.startswith(".") and file.is_file()


def _refuse_second(policy: Policy, document: Document, loaded: Mapping[str, Policy]) -> None:
    if first := loaded.get(policy.database.name):
        key, _, node = document.find(("database", "name"))
        wanted = "a name no other policy has"
        problem = document.problem(
            node, key, ProblemReason.DUPLICATE_NAME, wanted, f"also used by {first.path}"
        )
        raise BrokenPolicyError(policy.path, [problem])


def _load(path: Path) -> tuple[Policy, Document]:
    return _parse(_text(path), path)


def _parse(text: str, path: Path) -> tuple[Policy, Document]:
    document = read_document(text, str(path))
    if document.data is None:
        problem = Problem(str(path), 0, 0, "", ProblemReason.MISSING, "an empty file", _SMALLEST)
        raise BrokenPolicyError(path, document.problems or [problem])
    try:
        policy = _validate(path, document)
    except ValidationError as error:
        problems = document.problems + problems_of(error, document)
        raise BrokenPolicyError(path, sorted(problems, key=_place)) from None
    if document.problems:
        raise BrokenPolicyError(path, sorted(document.problems, key=_place))
    return policy, document


def _validate(path: Path, document: Document) -> Policy:
    context: dict[str, object] = {"path": path, "folder": path.parent.absolute(), "written": {}}
    return Policy.model_validate(document.data, context=context)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


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
