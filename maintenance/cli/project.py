"""A folder that runs a policy: Dagster's files, containers and services around it."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from maintenance.errors import UsageError
from maintenance.pipeline.init import InitReport
from maintenance.server.sql_library import data_root

_POLICIES = "policies"

_SHIPPED = ("dagster.yaml", "workspace.yaml")
"""Files of this software that a project takes as they are."""

_PLAIN = re.compile(r"[\w./+@~-]+")
"""Paths that units of systemd, Compose and shells read as they stand."""


def refuse_unfit(folder: Path) -> None:
    """Refuse a folder to which a project can't be written.

    Args:
        folder: absolute, as the paths in the files will be.

    Raises:
        UsageError: something in it has the name of a file of the project, its parent is missing,
            or its path can't stand in a unit of systemd.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: exists already and is no folder", hint="name a new folder")
    if not folder.parent.is_dir():
        raise UsageError(f"{folder}: its folder does not exist", hint=f"mkdir -p {folder.parent}")
    _refuse_existing(folder, _names())
    for path in (folder, _programs()):
        if not _PLAIN.fullmatch(str(path)):
            raise UsageError(
                f"{path}: has other characters than letters, digits and . _ - + @ ~, so that the"
                " services of the project could not name it",
                hint="use a folder with such a path",
            )


def _refuse_existing(folder: Path, names: Iterable[str]) -> None:
    existing = [name for name in sorted(names) if os.path.lexists(folder / name)]
    if existing:
        raise UsageError(
            f"{folder}: these exist already and are not overwritten: {', '.join(existing)}",
            hint="name a new folder; a further database of a project needs only its policy:"
            f" --out {folder / _POLICIES / 'NAME.yaml'}",
        )


def write_project(report: InitReport, folder: Path) -> Sequence[Path]:
    """Write a project, complete or not at all, and return its files, the policy first.

    Raises:
        UsageError: it can't be written.
    """
    files = _files(report, folder)
    beside = folder if folder.exists() else folder.parent
    try:
        with TemporaryDirectory(prefix=".new-project-", dir=beside) as temporary:
            stage = Path(temporary) / "project"
            for name, text in files.items():
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / name).write_text(text, encoding="utf-8")
            _move(stage, folder)
    except OSError as exc:
        raise UsageError(f"{folder}: can't be written: {exc.strerror}") from exc
    return [folder / name for name in files]


def _move(stage: Path, folder: Path) -> None:
    """Move a project to its folder; where that exists, into it, undone if interrupted."""
    if not folder.exists():
        stage.rename(folder)
        return
    names = [each.name for each in stage.iterdir()]
    _refuse_existing(folder, names)
    try:
        for name in names:
            (stage / name).rename(folder / name)
    except BaseException:
        for name in names:
            if not (stage / name).exists():
                (folder / name).rename(stage / name)
        raise


def _files(report: InitReport, folder: Path) -> Mapping[str, str]:
    """Return the text of each file by its name in the project."""
    marks = {
        "@DATABASE@": report.database,
        "@VARIABLE@": report.variable,
        "@FOLDER@": str(folder),
        "@PROGRAMS@": str(_programs()),
        "@VERSION@": version("maintenance"),
    }
    return {
        f"{_POLICIES}/{report.database}.yaml": report.text,
        **{name: (data_root() / name).read_text() for name in _SHIPPED},
        **{name: _filled(template.read_text(), marks) for name, template in _templates().items()},
    }


def _names() -> set[str]:
    """Return what a project has at its top."""
    return {_POLICIES, *_SHIPPED, *(name.partition("/")[0] for name in _templates())}


def _templates() -> Mapping[str, Path]:
    folder = data_root() / "deploy" / "project"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def _filled(text: str, marks: Mapping[str, str]) -> str:
    return re.sub(r"@[A-Z]+@", lambda mark: marks[mark[0]], text)


def _programs() -> Path:
    """Return the folder with the programs of this environment."""
    return Path(sys.executable).parent
