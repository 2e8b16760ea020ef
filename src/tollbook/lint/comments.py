"""``# tollbook: allow TB001 -- reason``: findings that somebody has looked at."""

from __future__ import annotations

import io
import re
import tokenize
from typing import NamedTuple

_ALLOW = re.compile(
    r"#\s*tollbook:\s*allow\s+(?P<rules>TB\d{3}(?:\s*,\s*TB\d{3})*)(?P<rest>.*)", re.IGNORECASE
)
_REASON = re.compile(r"\s*--\s*\S")


class Allowed(NamedTuple):
    """A comment that lifts rules from a line."""

    line: int
    column: int
    rules: frozenset[str]
    has_reason: bool


def allowed_in(text: str) -> list[Allowed]:
    """Return the comments of a file that lift rules; one alone on a line is of the next line."""
    if "tollbook:" not in text.lower():
        return []
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT:
                continue
            match = _ALLOW.match(token.string)
            if match is None:
                continue
            is_alone = not token.line[: token.start[1]].strip()
            rules = frozenset(one.strip().upper() for one in match["rules"].split(","))
            found.append(
                Allowed(
                    token.start[0] + is_alone, token.start[1] + 1, rules,
                    _REASON.match(match["rest"]) is not None,
                )
            )  # fmt: skip
    except (tokenize.TokenError, SyntaxError):
        return found  # the parser has told of it
    return found
