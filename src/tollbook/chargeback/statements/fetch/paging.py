"""All pages of one question, each once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tollbook.chargeback.statements.fetch.http import ApiClient, Question

PAGES_MAX: Final = 10_000


def pages(
    client: ApiClient,
    first: Callable[[str | None], Callable[[], Question]],
    token_of: Callable[[dict[str, Any]], str | None],
) -> Iterator[bytes]:
    """Yield pages as they came, on one line each, a page that is sent twice once.

    Line breaks between the values of a page become blanks; within strings JSON has none.

    Args:
        client: asks.
        first: makes the question for a page's token, None for the first page.
        token_of: returns the token of the next page, None after the last.

    Raises:
        FetchError: of the client, or the tokens go round in a circle.
    """
    token: str | None = None
    asked: set[str] = set()
    seen: set[bytes] = set()
    for _ in range(PAGES_MAX):
        body, answer = client.json(first(token))
        content = hashlib.sha256(body).digest()
        if content not in seen:
            seen.add(content)
            yield body.replace(b"\r", b" ").replace(b"\n", b" ")
        token = token_of(answer)
        if token is None:
            return
        if token in asked:
            raise FetchError(client.name, "its pages go round in a circle: a token came twice")
        asked.add(token)
    raise FetchError(client.name, f"has more than {PAGES_MAX} pages; fetch fewer days")
