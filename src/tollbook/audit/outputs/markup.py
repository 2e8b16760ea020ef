"""HTML and SVG that is escaped unless it was built here.

A small builder of our own, so that the base install needs no templates: whatever is not
:class:`Html` is text, and text cannot become markup. Names in traces are chosen by strangers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from html import escape
from typing import Final

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*")
_VOID: Final = frozenset(["br", "col", "hr", "img", "input", "link", "meta", "wbr"])
"""Elements without content and without an end tag (HTML, section 13.1.2)."""
_RAW: Final = frozenset(["script", "style"])
"""Elements whose text is not unescaped by browsers: they are made by :func:`style` alone."""
_REPLACEMENT: Final = "\ufffd"


class Html(str):
    """Markup; it is not escaped again."""

    __slots__ = ()


Child = str | int | Iterable["Child"] | None
"""Html as it is, other text escaped, None as nothing."""
Attribute = str | int | bool | None
"""None and False leave the attribute out, True is its name alone."""


def text(value: str) -> Html:
    """Return text escaped for content and for quoted attributes.

    Characters that are not printed (controls, lone surrogates, marks that turn the direction of
    writing) become U+FFFD: they could make a name look like another.
    """
    if isinstance(value, Html):
        return value
    shown = value if value.isprintable() else "".join(map(_printable, value))
    return Html(escape(shown))


def _printable(char: str) -> str:
    if char.isprintable() or char in "\n\t":
        return char
    return " " if unicodedata.category(char) == "Zs" else _REPLACEMENT


def el(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        tag: its name.
        children: what it holds.
        attributes: ``class_`` is ``class``, ``aria_label`` is ``aria-label``.

    Raises:
        ValueError: a name that is none, or an element whose text browsers do not unescape.
    """
    if not _NAME.fullmatch(tag) or tag.lower() in _RAW:
        raise ValueError(f"{tag!r} cannot be built")
    parts = [f"<{tag}"]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an attribute")
        if value is None or value is False:
            continue
        parts.append(f" {name}" if value is True else f' {name}="{text(str(value))}"')
    parts.append(">")
    if tag not in _VOID:
        parts += [join(*children), f"</{tag}>"]
    return Html("".join(parts))


def join(*children: Child) -> Html:
    """Return children one after the other."""
    return Html("".join(_written(one) for one in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, str):
        return text(child)
    if isinstance(child, int):
        return str(child)
    return "".join(_written(one) for one in child)


def style(css: str) -> Html:
    """Return a style element of our own CSS; never of anything that was read.

    Raises:
        ValueError: the CSS would end the element.
    """
    if "</" in css or "<!--" in css:
        raise ValueError("the style would end its element")
    return Html(f"<style>{css}</style>")
