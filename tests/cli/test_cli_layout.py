"""Tables at any width: nothing is cut, numbers and ids stay whole, what is left out is named."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tollbook.cli import tables
from tollbook.cli.layout import GAP, Column, fit, wrap

if TYPE_CHECKING:
    import pytest

CALL_ID = "01a1fd70-2d7e-784f-90f5-824fb70fa1af"
ROW: dict[str, Any] = {
    "tenant": "meridian-robotics-international",
    "call_id": CALL_ID,
    "model": "claude-haiku-4-5-20251001",
    "input_tokens": 12_371_426,
    "cost_usd": "1234.000000000012",
}
texts = st.text(st.sampled_from(string.ascii_lowercase + "-_./: 東é"), max_size=40)


@given(texts, st.integers(2, 30))
def test_wrapping_keeps_every_character_and_the_width(text: str, width: int) -> None:
    lines = wrap(text, width).split("\n")

    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= width for line in lines)


@given(
    st.lists(st.tuples(texts, st.booleans()), min_size=1, max_size=8),
    st.integers(10, 120),
    st.data(),
)
def test_a_layout_shows_or_names_every_column(
    cells: list[tuple[str, bool]], available: int, data: st.DataObject
) -> None:
    columns = [
        Column(f"c{at}", f"heading {at}", (text,), is_wrapped)
        for at, (text, is_wrapped) in enumerate(cells)
    ]
    optional = data.draw(st.lists(st.sampled_from([one.name for one in columns]), unique=True))
    laid = fit(columns, available, optional)
    total = sum(laid.widths) + GAP * (len(laid.widths) - 1)

    assert {one.name for one in laid.columns} | set(laid.left_out) == {one.name for one in columns}
    assert set(laid.left_out) <= set(optional)
    assert total <= available or set(laid.left_out) == set(optional)
    for column in laid.columns:
        original = columns[int(column.name.removeprefix("c"))]
        assert column.is_wrapped or column.cells == original.cells


def test_a_cell_that_may_not_wrap_stays_as_it_is() -> None:
    laid = fit([Column("id", "heading one", (" ",), is_wrapped=False)], 10)

    assert laid.columns[0].cells == (" ",)


def shown(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(tables, "_PIPE_WIDTH", width)
    tables.print_table([ROW], list(ROW), optional=("input_tokens", "model"))
    return capsys.readouterr().out


def test_a_narrow_table_says_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(80, monkeypatch, capsys)

    assert CALL_ID in text
    assert "1,234.000000000012" in text
    assert "12,371,426" not in text
    assert "Too narrow for: input tokens" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_a_wide_table_shows_all_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(200, monkeypatch, capsys).split("\n")
    row = next(line for line in lines if CALL_ID in line)

    assert ROW["tenant"] in row
    assert ROW["model"] in row
    assert "12,371,426" in row
    assert not any("Too narrow" in line for line in lines)


def test_a_table_that_cannot_fit_is_wider_and_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(30, monkeypatch, capsys)

    assert CALL_ID in text
    assert "1,234.000000000012" in text


def test_a_title_is_text_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table([ROW], ["tenant"], title="add a [[prices]] card")

    assert "add a [[prices]] card" in capsys.readouterr().out
