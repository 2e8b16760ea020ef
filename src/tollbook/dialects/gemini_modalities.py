"""Counts by modality, as Gemini gives them beside each of its totals."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from tollbook.dialects.counts import Count

_BY_NAME: Final[dict[object, str]] = {
    "TEXT": "text",
    "IMAGE": "image",
    "VIDEO": "video",
    "AUDIO": "audio",
    "DOCUMENT": "image",  # pages are read as images; newer models call them so (Gemini 3 guide)
    1: "text",
    2: "image",
    3: "video",
    4: "audio",
    5: "image",
}
"""Names, and the numbers of google.cloud.aiplatform.v1.Modality, which gRPC clients log."""


class ModalityCount(Struct, gc=False):
    """One entry of such a list; the Interactions API has it in lower case, as ``tokens``."""

    modality: str | int | None = None
    tokenCount: Count | None = None  # noqa: N815 -- the API's name
    tokens: Count | None = None


class Split(NamedTuple):
    """Tokens by modality."""

    text: int = 0
    image: int = 0
    video: int = 0
    audio: int = 0

    def minus(self, other: Split) -> Split:
        """Return the difference of each."""
        return Split(*[a - b for a, b in zip(self, other, strict=True)])

    def plus(self, other: Split) -> Split:
        """Return the sum of each."""
        return Split(*[a + b for a, b in zip(self, other, strict=True)])


def split_of(
    details: list[ModalityCount] | None, total: int, what: str, problems: list[str]
) -> Split:
    """Return a total by modality; what the details leave out is text.

    Gemini leaves tool definitions and thought signatures out of the details of the prompt, and the
    text between images out of those of the answer.
    """
    if not details:
        return Split(total)
    counts = dict.fromkeys(Split._fields, 0)
    for each in details:
        name = each.modality.upper() if isinstance(each.modality, str) else each.modality
        counts[_BY_NAME.get(name, "text")] += each.tokenCount or each.tokens or 0
    beyond = sum(counts.values()) - total
    counts["text"] += max(0, -beyond)
    if beyond > 0:
        problems.append(f"the {what} by modality exceeds its total ({total}) by {beyond}: cut")
        for name in Split._fields:
            cut = min(beyond, counts[name])
            counts[name] -= cut
            beyond -= cut
    return Split(**counts)


def within(part: Split, whole: Split, problems: list[str]) -> Split:
    """Return the cached part so that no modality of it is more than there was in the prompt.

    Where the provider says only how much was cached, text goes first.
    """
    fits = [min(a, b) for a, b in zip(part, whole, strict=True)]
    left = sum(part) - sum(fits)
    if left:
        problems.append(f"{left} cached tokens are of another modality than the prompt: moved")
        for at, room in enumerate(whole):
            more = min(left, room - fits[at])
            fits[at] += more
            left -= more
    return Split(*fits)
