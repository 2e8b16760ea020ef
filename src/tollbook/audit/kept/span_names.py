"""Names of spans and services as they are kept: printable, short, without what a URL asked for."""

from __future__ import annotations

from typing import Final

_MAX_CHARS: Final = 128


def shown_name(text: str) -> str:
    """Return a name without the query and fragment of a URL or path, and without a password in it.

    Instrumentations should name spans by a route (OpenTelemetry, HTTP spans: low cardinality);
    some write the URL, whose query is content.
    """
    if "?" in text or "://" in text:
        text = _without_query(text)
    text = text[:_MAX_CHARS]
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])


def _without_query(text: str) -> str:
    path_at = text.find("/")
    if path_at < 0:
        return text
    ends = [text.find("?", path_at)]
    scheme_at = text.find("://")
    if scheme_at >= 0:
        ends.append(text.find("#", scheme_at))
    text = text[: min([one for one in ends if one >= 0], default=len(text))]
    if scheme_at < 0 or scheme_at + 3 > len(text):
        return text
    host, slash, path = text[scheme_at + 3 :].partition("/")
    return text[: scheme_at + 3] + host.rpartition("@")[2] + slash + path
