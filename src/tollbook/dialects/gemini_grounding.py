"""What grounding costs: searches that the model had made, by the rule of its generation.

Gemini 3 and later are billed for each search query, unique and not empty; earlier models once for
each prompt that was grounded (https://ai.google.dev/gemini-api/docs/google-search, Pricing).
The answer names the queries, which say what the user asked; only how many there were is kept.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from tollbook.dialects.counts import Count

MARK: Final = b"groundingMetadata"
_MAX_QUERIES: Final = 256
_is_per_prompt = re.compile(r"(?:models/)?gemini-(?:live-|flash-|pro-)?[12]\.").match
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Grounding(Struct, gc=False):
    """How often an answer was grounded; not the API's own object."""

    webSearchQueries: Count | None = None  # noqa: N815 -- the API's name for what is counted
    webResults: Count | None = None  # noqa: N815 -- as above
    maps: Count | None = None
    retrievals: Count | None = None


class GroundingCount:
    """Collects what the chunks of one answer say; each says some of it again."""

    __slots__ = ("_has_maps", "_has_web", "_queries", "_retrievals")

    def __init__(self) -> None:
        self._queries: set[str] = set()
        self._retrievals: set[str] = set()
        self._has_web = self._has_maps = False

    def see(self, candidates: bytes) -> None:
        """Take the candidates of one answer or chunk, JSON text of any shape. Never raises."""
        try:
            read = _decode(candidates)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        for candidate in read if isinstance(read, list) else ():
            found = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
            if isinstance(found, dict):
                self._see_one(found)

    def _see_one(self, found: dict[str, Any]) -> None:
        self._add(self._queries, found.get("webSearchQueries"))
        self._add(self._queries, found.get("imageSearchQueries"))
        self._add(self._retrievals, found.get("retrievalQueries"))
        chunks = found.get("groundingChunks")
        for chunk in chunks if isinstance(chunks, list) else ():
            if isinstance(chunk, dict):
                self._has_web = self._has_web or "web" in chunk
                self._has_maps = self._has_maps or "maps" in chunk

    def _add(self, known: set[str], queries: object) -> None:
        for query in queries if isinstance(queries, list) else ():
            if isinstance(query, str) and query.strip() and len(known) < _MAX_QUERIES:
                known.add(query)

    def usage(self) -> bytes | None:
        """Return the counts as a usage object, None where nothing was grounded."""
        counts = {
            "webSearchQueries": len(self._queries),
            "webResults": int(self._has_web),
            "maps": int(self._has_maps),
            "retrievals": len(self._retrievals),
        }
        if not any(counts.values()):
            return None
        return _encode({"grounding": {name: count for name, count in counts.items() if count}})


def searches_billed(found: Grounding | None, model: str | None, problems: list[str]) -> int:
    """Return how many searches a model's generation bills, and say what has no count here."""
    if found is None:
        return 0
    if found.maps:
        problems.append("grounded with Google Maps: its fee is not counted")
    if found.retrievals:
        problems.append("grounded with the customer's own data: its fee is not counted")
    queries = found.webSearchQueries or 0
    if _is_per_prompt(model or ""):
        return 1 if queries or found.webResults else 0
    return queries or (1 if found.webResults else 0)
