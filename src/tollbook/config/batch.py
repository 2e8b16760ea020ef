"""``[batch]``: work that a provider does later, and whose results come hours after."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

Above0 = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Batch(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``[batch]``: batches, their owners and their results."""

    custom_id_pattern: str | None = None
    """Regular expression for the ids of lines, whole, with groups named as identity fields:
    ``(?P<tenant>[^:]+):(?P<user>[^:]+):.*``. A group of another name is a tag."""
    fetch: bool = False
    """Fetch the results of finished batches with the provider's own key, if no client does."""
    discover: bool = False
    """With ``fetch``: list the provider's batches too, so that those submitted around the gateway
    are billed; their owner is unknown."""
    discover_age_h: Above0 = 48.0
    """How old a batch may be that is discovered."""
    poll_interval_s: Above0 = 300.0
    """How often batches that have not ended are looked at."""
    timeout_s: Above0 = 60.0
    """Longest wait for the provider's next bytes while fetching."""
    max_result_bytes: Count = 2 * 1024 * 1024 * 1024
    """Largest file of results that is fetched."""
    settle_after_h: Above0 = 72.0
    """A batch without results so long after it was submitted is booked once, at unknown cost;
    results that come later take the place of that entry."""

    def __post_init__(self) -> None:
        if self.custom_id_pattern is None:
            return
        try:
            names = re.compile(self.custom_id_pattern).groupindex
        except re.error as error:
            raise ValueError(f"custom_id_pattern is no regular expression: {error}") from error
        if not names:
            raise ValueError(
                "custom_id_pattern has no named group; expected one such as (?P<tenant>[^:]+):.*"
            )
