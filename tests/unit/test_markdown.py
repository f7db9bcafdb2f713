"""Names and messages are shown as text: no table, link, image or script results from them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from maintenance.formatting import visible
from maintenance.orchestration.markdown import SHOWN, code, grid, plain, sql

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://192.0.2.1/x.png)",
    "a|b",
    "`rm`",
    "``",
    "# head",
    "**bold** _it_ ~~no~~",
    "line\nbreak",
    "&lt;b&gt;",
    "<http://192.0.2.1>",
    "| --- |",
]
TEXT = {"text", "code_inline", "softbreak", "text_special"}
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

names = st.sampled_from(HOSTILE) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1
).filter(lambda name: name.strip() and "\\" not in name)


def cells(markdown: str) -> list[list[Token]]:
    tokens = PARSER.parse(markdown)
    assert {token.type for token in tokens} <= {
        *(f"{what}_{side}" for what in ("table", "thead", "tbody", "tr") for side in OPEN_CLOSE),
        *(f"{what}_{side}" for what in ("th", "td") for side in OPEN_CLOSE),
        "inline",
    }
    return [token.children or [] for token in tokens if token.type == "inline"]


OPEN_CLOSE = ("open", "close")


def shown(children: list[Token]) -> Iterator[str]:
    for token in children:
        assert token.type in TEXT, token
        yield token.content


@given(st.lists(st.tuples(names, names), max_size=3))
def test_table_shows_every_name_as_it_is(pairs: list[tuple[str, str]]) -> None:
    table = grid(("name", "what:"), [(code(name), plain(said)) for name, said in pairs])
    found = ["".join(shown(children)).split() for children in cells(table)]
    wanted = ["name", "what", *(text for pair in pairs for text in pair)]
    assert found == [visible(text).split() for text in wanted]


@pytest.mark.parametrize("name", HOSTILE)
def test_prose_holds_no_markup(name: str) -> None:
    (paragraph,) = (token for token in PARSER.parse(plain(name)) if token.type == "inline")
    assert "".join(shown(paragraph.children or [])).split() == name.split()


@pytest.mark.parametrize("address", ["http://192.0.2.1/x", "www.example.com", "a@example.com"])
def test_address_is_written_so_that_no_link_is_made_of_it(address: str) -> None:
    assert address not in plain(address)


def test_fence_of_statements_outlasts_fences_in_them() -> None:
    shown = sql(["SELECT '```'", "SELECT 2"]).value
    assert shown == "````sql\nSELECT '```';\nSELECT 2;\n````"


def test_very_many_statements_are_counted() -> None:
    shown = sql(["SELECT 1"] * (SHOWN + 5)).value or ""
    assert shown.endswith("-- and 5 more\n```")
    assert shown.count("SELECT") == SHOWN
