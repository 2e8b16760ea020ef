"""The figures of ``docs/audit-accuracy.md``, written between its marks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from examples.corpus.plan import INSTRUMENTATIONS
from examples.corpus.score import Cell, notes, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from examples.corpus.score import Judged

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "audit-accuracy.md"
_TITLES: Final = {
    "opentelemetry": "OpenTelemetry",
    "openllmetry": "OpenLLMetry",
    "openinference": "OpenInference",
    "logfire": "Logfire",
}
_MODES: Final = (
    "single-key", "header-stripping", "background-jobs", "streaming", "agent-recursion",
    "embeddings-retrieval", "baggage-leak", "double-counting",
)  # fmt: skip


def written(page: str, mark: str, judged: Sequence[Judged]) -> str:
    """Return a page with the figures of some runs between the marks of a name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- {mark} begin -->\n", f"<!-- {mark} end -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no {begin.strip()} or no {end} in the page")
    return head + begin + "\n".join(_figures(judged)) + "\n" + end + tail


def _figures(judged: Sequence[Judged]) -> Iterator[str]:
    cells = table(judged)
    shown = [name for name in INSTRUMENTATIONS if any(key[1] == name for key in cells)]
    clean = [one for one in judged if not one.planted.expected]
    faulty = [one for one in judged if one.planted.expected]
    exact = sum(not one.missed and not one.false for one in judged)
    yield (
        f"{len(judged)} runs with {sum(len(one.recorded.calls) for one in judged)} calls: "
        f"{len(faulty)} with something planted, {len(clean)} with nothing. "
        f"{exact} runs came out exactly as planted."
    )
    yield ""
    yield from _rows(
        ["Mode", *(_TITLES[name] for name in shown)],
        (
            [f"`{mode}`", *(_cell(cells.get((mode, name))) for name in shown)]
            for mode in (*_MODES, *sorted({key[0] for key in cells} - set(_MODES)))
            if any((mode, name) in cells for name in shown)
        ),
    )
    yield ""
    wrong = [one for one in judged if one.missed or one.false]
    if wrong:
        yield "What did not come out as planted:"
        yield ""
        for one in wrong:
            for words in (*one.missed, *one.false):
                yield f"- `{one.recorded.name}`, {_TITLES[one.recorded.instrumentation]}: {words}"
        yield ""
    told = notes(judged)
    false = sum(len(one.false) for one in clean)
    yield f"Findings of severity warning or error on the {len(clean)} clean runs: {false}."
    if told:
        said = ", ".join(f"`{name}` in {count}" for name, count in sorted(told.items()))
        yield f"Notes on them: {said}."


def _cell(cell: Cell | None) -> str:
    if cell is None or not (cell.planted or cell.said):
        return "not planted"
    hops = f", hops {cell.hops_right} of {cell.hops}" if cell.hops else ""
    return (
        f"{_share(cell.precision_millis)} / {_share(cell.recall_millis)} "
        f"({cell.planted} calls{hops})"
    )


def _share(millis: int | None) -> str:
    return "none" if millis is None else f"{millis // 1000}.{millis % 1000:03d}"


def _rows(head: Sequence[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
