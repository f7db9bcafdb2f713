"""Loading of policy files; an invalid file does not affect the others."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from maintenance.errors import Problem, ProblemReason, UsageError
from maintenance.policy.files import BrokenPolicyError, read_policy_file, read_policy_text
from maintenance.policy.models import Policy
from maintenance.policy.problems import problems_of
from maintenance.policy.yaml_document import Document

_ALERTING = ("database", "store", "redis", "alerts")
_SMALLEST = "a policy; the smallest is database: with name: and url:"


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
    return _validated(path, read_policy_file(path))


def parse_policy(text: str, path: Path) -> Policy:
    """Load a policy from its text.

    Args:
        text: of the file.
        path: where the file is, or will be; its folder is where relative paths begin.

    Raises:
        PolicyError: as `load_policy`.
    """
    return _validated(path, read_policy_text(text, path))


def load_policies(paths: Sequence[Path], databases: Collection[str] = ()) -> Policies:
    """Load policy files, and the *.yaml and *.yml files of folders.

    A file that others extend is a policy itself only if it names a database.

    Args:
        paths: of files and folders.
        databases: if given, files that can't be the policy of one of these are left out.

    Raises:
        UsageError: a path does not exist, or a folder has no policy.
    """
    loaded: dict[str, Policy] = {}
    broken: dict[Path, BrokenPolicyError] = {}
    documents: dict[Path, Document] = {}
    files = _files(paths)
    for path in _mentioning(files, databases) if databases else files:
        try:
            documents[path] = read_policy_file(path)
        except BrokenPolicyError as error:
            broken[path] = error
    extended = {base.resolve() for each in documents.values() for base in each.bases}
    for path, document in documents.items():
        if path.resolve() in extended and not _names_database(document):
            continue
        try:
            policy = _validated(path, document)
            _refuse_second(policy, document, loaded)
        except BrokenPolicyError as error:
            broken[path] = error
        else:
            loaded[policy.database.name] = policy
    return Policies(tuple(loaded.values()), tuple(broken.values()))


def alerting_part(path: Path) -> Policy | None:
    """Load only the sections of a policy file that say where alerts are kept and sent.

    For telling that the rest of the file is invalid.

    Returns:
        None if these sections, or the file, can't be read.
    """
    try:
        data = read_policy_file(path).data
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


def _mentioning(files: Sequence[Path], databases: Collection[str]) -> list[Path]:
    """Return the files that may name one of these databases, in their order.

    Their text has the name as a word; or an escape, which may stand for anything; or the name of
    such a file, which it may extend. An unreadable file may have any.
    """
    texts = {file: _bytes(file) for file in files}
    words = [re.escape(name.encode()) for name in databases]
    found: set[Path] = set()
    while words:
        pattern = re.compile(rb"\\|(?<!\w)(?:" + b"|".join(words) + rb")(?!\w)")
        new = [f for f, text in texts.items() if f not in found and pattern.search(text)]
        found.update(new)
        words = [re.escape(file.name.encode()) for file in new]
    return [file for file in files if file in found]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b"\\"


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


def _names_database(document: Document) -> bool:
    match document.data:
        case {"database": {"name": object()}}:
            return True
        case _:
            return False


def _validated(path: Path, document: Document) -> Policy:
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
    return policy


def _validate(path: Path, document: Document) -> Policy:
    context: dict[str, object] = {"path": path, "folder": path.parent.absolute(), "written": {}}
    return Policy.model_validate(document.data, context=context)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column
