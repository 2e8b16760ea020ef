"""How advice is written down."""

from __future__ import annotations

from textwrap import dedent
from typing import Final

from tollbook.audit.findings import Advice

DOCS: Final = "https://github.com/tollbook/tollbook/blob/main/docs/"

Book = dict[tuple[str, str], Advice]
"""By mode or rule, and by framework or crossing; an empty text is all others."""


def advice(
    title: str,
    why: str,
    snippet: str,
    language: str = "python",
    *,
    page: str = "",
    tollbook: str = "",
    tollbook_language: str = "python",
) -> Advice:
    """Return advice; snippets may be indented as the code around them is.

    Args:
        title: what to do, in one line.
        why: why that mends it, in a sentence or two.
        snippet: what to write, without Tollbook.
        language: of the snippet.
        page: of this project's documentation.
        tollbook: the same with Tollbook, where that is another way.
        tollbook_language: of that.
    """
    return Advice(
        title=title,
        why=why,
        language=language,
        snippet=dedent(snippet).strip("\n"),
        page=f"{DOCS}{page}" if page else "",
        with_tollbook=dedent(tollbook).strip("\n"),
        with_tollbook_language=tollbook_language,
    )
