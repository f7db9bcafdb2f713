"""Statements for HypoPG."""

import pytest

from maintenance.subjects.indexes.declared.what_if_statement import simplified

INDEX = 'CREATE INDEX i ON public.t USING btree ("A" DESC) INCLUDE (b)'


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("(done = true)", "done"),
        ("(done = false)", "NOT done"),
        ("(done <> true)", "NOT done"),
        ("(true = done)", "done"),
        ("((s = 'x'::text) AND (done = false))", "s = CAST('x' AS text) AND NOT done"),
    ],
)
def test_predicate_compares_no_column_with_true_or_false(predicate: str, expected: str) -> None:
    found = simplified(f"{INDEX} WHERE {predicate}")
    assert found == f'CREATE INDEX i ON public.t ("A" DESC) INCLUDE (b) WHERE {expected}'


@pytest.mark.parametrize("rest", ["", " WHERE (s = 'x'::text)", " WHERE done", " WHERE (a > 1)"])
def test_other_statements_stay_as_they_are(rest: str) -> None:
    assert simplified(f"{INDEX}{rest}") == f"{INDEX}{rest}"
