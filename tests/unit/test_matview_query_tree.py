"""Reading the trees of stored queries: what they use, and what is not understood."""

import pytest

from maintenance.subjects.matviews.query_tree import used_by


def test_oids_are_told_apart_by_what_they_mean() -> None:
    used = used_by(
        "({QUERY :commandType 1 :rtable ({RANGETBLENTRY :rtekind 0 :relid 16500 :inh true})"
        " :targetList ({TARGETENTRY :expr {COERCEVIAIO :arg {OPEXPR :opno 551 :opfuncid 177"
        " :opresulttype 23 :args ({VAR :varno 1 :varattno 1 :vartype 23})}"
        " :resulttype 1184} :resno 1})})"
    )
    assert used.functions == {177}
    assert used.operators == {551}
    assert used.types == {23, 1184}
    assert used.parsed == {1184}
    assert used.relations == {16500}
    assert used.prints
    assert used.unsteady == ()


def test_lists_of_oids_are_read() -> None:
    used = used_by("{ROWCOMPAREEXPR :opnos (o 97 660) :opfamilies (o 1976 1994)}")
    assert used.operators == {97, 660}


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ("{GRAPHTABLE :path 1}", "GRAPHTABLE"),
        ("{QUERY :graphs ({VAR :varno 1})}", "QUERY.graphs"),
        ("{FUNCEXPR :funcid 1 :hookid 4711}", "FUNCEXPR.hookid"),
        ("{SQLVALUEFUNCTION :op 3}", "CURRENT_DATE"),
        ("{VAR :varno 1 :varattno -1}", "system column"),
        ("{QUERY :sortClause <> :limitCount {CONST :consttype 20}}", "LIMIT"),
        ("{RANGETBLENTRY :relid 1259}", "catalog"),
    ],
)
def test_whatever_is_not_understood_is_said(tree: str, found: str) -> None:
    (words,) = used_by(tree).unsteady
    assert found in words


@pytest.mark.parametrize(
    "tree",
    [
        "{QUERY :graphs <>}",
        "{VAR :varno 1 :varattno -6 :location 7}",
        "{QUERY :sortClause ({SORTGROUPCLAUSE :eqop 96}) :limitCount {CONST :consttype 20}}",
    ],
)
def test_what_is_not_there_forbids_nothing(tree: str) -> None:
    assert used_by(tree).unsteady == ()


def test_names_are_no_fields() -> None:
    used = used_by(
        r"{TARGETENTRY :resname x\ :funcid\ 4711 :resno 1 :expr {VAR :varno 1 :vartype 23}}"
        r"{ALIAS :aliasname a\\ :colnames (" + r'"\}\ \{FUNCEXPR\ :funcid\ 4712" "b")}'
        r"{TARGETENTRY :resname ends\\ :expr {FUNCEXPR :funcid 99}}"
    )
    assert used.functions == {99}
    assert used.types == {23}
    assert used.unsteady == ()
