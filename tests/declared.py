"""The declared indexes and the queries of the example systems, read without the product."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pglast import ast, parse_sql

from tests.builders import ROOT, SQL

SYSTEMS = ("unpuzzle", "lms", "nova", "learning_platform", "proposals")
ANNOTATION = re.compile(r"^-- (wave|replaces|serves|expect|params): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Declared:
    """One statement of an indexes.sql with the annotations above it."""

    text: str
    node: Any
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        """Of the index; of the table for a column or constraint."""
        if isinstance(self.node, ast.IndexStmt):
            return str(self.node.idxname)
        if isinstance(self.node, ast.DropStmt):
            objects: Any = self.node.objects
            (name,) = objects
            return str(name[-1].sval)
        return str(self.node.relation.relname)

    @property
    def creates(self) -> bool:
        return isinstance(self.node, ast.IndexStmt)

    @property
    def wave(self) -> int:
        return int(self.annotations["wave"])

    @property
    def serves(self) -> list[str]:
        return names(self.annotations.get("serves", ""))

    @property
    def drops(self) -> list[str]:
        """The indexes that go, by their own statement or after their replacement."""
        own = [self.name] if isinstance(self.node, ast.DropStmt) else []
        return own + names(self.annotations.get("replaces", ""))


@dataclass(frozen=True)
class Query:
    """One query file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def parameter_sets(self) -> list[str]:
        return [value for key, value in ANNOTATION.findall(self.text) if key == "params"]

    @property
    def calls(self) -> list[str]:
        """An EXECUTE for each set of parameters, for the query prepared as `q`."""
        sets = self.parameter_sets
        return [f"EXECUTE q ({each})" for each in sets] if sets else ["EXECUTE q"]


def names(listed: str) -> list[str]:
    return [name.strip().strip('"') for name in listed.split(",") if name.strip()]


def declared(system: str, file: str = "indexes.sql") -> list[Declared]:
    return read_declared(SQL / "systems" / system / file)


def read_declared(path: Path) -> list[Declared]:
    """The statements of a file, in its order."""
    script, found, start = path.read_text(), list[Declared](), 0
    statements: Any = parse_sql(script)
    for raw in statements:
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(script)
        lines = script[start:end].strip().rpartition("\n\n")[2].splitlines()
        above = "\n".join(line for line in lines if line.startswith("-- "))
        text = "\n".join(line for line in lines if not line.startswith("-- "))
        found.append(Declared(text, raw.stmt, dict(ANNOTATION.findall(above))))
        start = end + 1  # the semicolon
    return found


def queries(system: str) -> list[Query]:
    return [Query(path) for path in sorted((SQL / "systems" / system / "queries").glob("*.sql"))]


def schema(system: str, file: str = "schema.sql") -> str:
    return (SQL / "systems" / system / file).read_text()


def system_plan(system: str) -> list[Declared]:
    """What the system's plan asked for, corrected only where it can't be built."""
    return read_declared(ROOT / "tests" / "system_plans" / f"{system}.sql")
