"""What was read, what was dropped and what could not be read, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.outputs import words
from tollbook.audit.outputs.hops import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.outputs.style import Style
    from tollbook.audit.read import InputRead, Trouble
    from tollbook.audit.report import Audit

_SHOWN: Final = 5


def read_lines(audit: Audit, style: Style, *, full: bool = False) -> Iterator[str]:
    """Yield the lines."""
    shown = None if full else _SHOWN
    yield style.paint("Read", "bold")
    for one in audit.inputs[:shown]:
        yield from style.wrap(_input_words(one), "    ", first="  ")
        for note in one.notes[:shown]:
            yield from style.wrap(plain(note), "      ", first="    ")
    yield from _more(len(audit.inputs[:shown]), len(audit.inputs), "input", style)
    dropped = sum(one.content_dropped for one in audit.inputs)
    told = f" Dropped: {words.count(dropped, 'attribute')}." if dropped else ""
    yield from style.wrap(f"{audit.privacy}{told}", "  ")
    if audit.prices:
        yield from style.wrap(f"Prices: {audit.prices}.", "  ")
    if audit.instrumentations:
        names = ", ".join(
            f"{plain(name)} ({words.count(calls)})"
            for name, calls in list(audit.instrumentations.items())[:shown]
        )
        yield from style.wrap(f"Calls told of by {names}.", "    ", first="  ")
    if audit.ignored:
        yield from style.wrap(f"Rules not used: {', '.join(map(plain, audit.ignored))}.", "  ")
    yield from _problems(audit, style, shown)


def trouble_words(one: Trouble) -> str:
    """Return what could not be read, and where."""
    at = one.where.source
    if one.where.line is not None:
        at += f":{one.where.line}"
    elif one.where.offset is not None:
        at += f" at byte {one.where.offset:,}"
    lost = f" ({words.count(one.records, 'record')} lost)" if one.records else ""
    return plain(f"{at}: {one.problem}{lost}")


def _problems(audit: Audit, style: Style, shown: int | None) -> Iterator[str]:
    total = max(sum(one.troubles for one in audit.inputs), len(audit.troubles))
    if not total:
        return
    yield ""
    yield style.paint(f"Could not be read: {words.count(total, 'place')}", "bold", "yellow")
    some = audit.troubles[:shown]
    for one in some:
        yield from style.wrap(trouble_words(one), "    ", first="  ")
    yield from _more(len(some), total, "place", style)


def _more(shown: int, total: int, noun: str, style: Style) -> Iterator[str]:
    if total > shown:
        yield style.paint(f"  and {words.count(total - shown, f'more {noun}')}", "dim")


def _input_words(one: InputRead) -> str:
    kind = " ".join(part for part in (one.format or "no known format", one.compression) if part)
    size = words.size(one.size_bytes if one.size_bytes is not None else one.read_bytes)
    return plain(f"{one.source}  {kind}, {size}, {words.count(one.spans, 'span')}")
