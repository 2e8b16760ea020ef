"""The builder escapes whatever it did not build."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.audit.outputs.markup import Html, el, join, style, text

ANYTHING = st.text(
    st.one_of(
        st.sampled_from("<>&\"'`/=!-[]{};:\\\0\n\r\t\u202e\ud800"),
        st.characters(codec=None, exclude_categories=()),
    ),
    max_size=40,
)


class _One(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[str] = []
        self.given: dict[str, str | None] = {}
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.given |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        self.seen.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.seen.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.seen.append("instruction")


@given(ANYTHING, ANYTHING)
def test_no_text_breaks_out(content: str, value: str) -> None:
    made = el("p", content, title=value)
    read = _One(made)
    assert read.seen == ["p"]
    assert list(read.given) == ["title"]
    made.encode()  # and it can be written to a file
    if content.isprintable():
        assert read.words == content
    if value.isprintable():
        assert read.given["title"] == value


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co"]), min_size=1))
def test_what_is_not_printed_is_seen_as_such(hidden: str) -> None:
    kept = [char for char in text(f"a{hidden}b") if char not in "\n\t"]
    assert all(char.isprintable() for char in kept)
    assert len(text(f"a{hidden}b")) == len(hidden) + 2


def test_markup_is_not_escaped_twice() -> None:
    assert el("p", el("b", "a & b"), Html("<br>")) == "<p><b>a &amp; b</b><br></p>"
    assert join("<", None, 3, ["&", [Html("<hr>")]]) == "&lt;3&amp;<hr>"


def test_attributes() -> None:
    made = el("details", open=True, hidden=False, class_="a b", aria_label='"', id=None, tabindex=0)
    assert made == '<details open class="a b" aria-label="&quot;" tabindex="0"></details>'
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize("tag", ["", "a b", "p>", "script", "STYLE", "1a", "é"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="cannot be built"):
        el(tag)


@pytest.mark.parametrize("name", ["a b", "x>", "on=", "é", ""])
def test_other_attributes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        el("p", **{name: "x"})


def test_a_style_cannot_end_itself() -> None:
    assert style("a{}") == "<style>a{}</style>"
    for css in ("</style>", "a </STYLE", "<!-- a"):
        with pytest.raises(ValueError, match="would end"):
            style(css)
