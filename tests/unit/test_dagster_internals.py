"""What Dagster does not export is imported in one module only."""

import ast

from tests.builders import ROOT


def test_only_one_module_imports_internals_of_dagster() -> None:
    package = ROOT / "maintenance"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._")
    }
    assert found == {"orchestration/dagster_internals.py"}
