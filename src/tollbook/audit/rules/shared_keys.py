"""Keys of a provider that several owners share (A18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.audit.rules.distinct import Distinct
from tollbook.audit.rules.found import hit_of, tenant_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollbook.audit.facts import SpanFact
    from tollbook.audit.findings import Hit
    from tollbook.audit.trace import Trace

_KEYS_MAX: Final = 500
"""Keys beyond so many are not followed."""


class _Key:
    """What was seen of a key."""

    def __init__(self, first: SpanFact) -> None:
        self.examples = [first]
        self.owners = Distinct()
        self.calls = self.traces = 0
        self.last_trace = ""
        self.cost_pico: int | None = None


class SharedKeys:
    """A18: calls of several tenants were made with one key.

    That is how most products work, and the reason why the provider's own reports cannot confirm
    who used what.

    Source: OpenAI and Anthropic usage and cost APIs: grouped by key, project or workspace, model.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], _Key] = {}

    def observe(self, trace: Trace) -> None:
        """Count the calls of a trace."""
        for span in trace.calls:
            call = span.call
            tenant = tenant_of(trace, span)
            if call is None or call.api_key_id is None or tenant is None:
                continue
            name = (call.provider, call.api_key_id)
            key = self._keys.get(name)
            if key is None:
                if len(self._keys) >= _KEYS_MAX:
                    continue
                key = self._keys[name] = _Key(span)
            if key.owners.add(tenant) and 1 < key.owners.number <= 3:  # noqa: PLR2004 -- examples
                key.examples.append(span)
            key.calls += 1
            if span.trace_id != key.last_trace:  # traces come one after the other
                key.traces += 1
                key.last_trace = span.trace_id
            if call.cost_pico is not None:
                key.cost_pico = (key.cost_pico or 0) + call.cost_pico

    def finish(self) -> Iterator[Hit]:
        """Yield a hit for each key with several owners."""
        for (provider, key_id), key in self._keys.items():
            if key.owners.number < 2:  # noqa: PLR2004 -- several
                continue
            about = "" if key.owners.is_exact else "about "
            yield hit_of(
                "A18",
                f"The key {key_id} of {provider} serves {about}{key.owners.number} tenants",
                (provider, key_id),
                key.examples,
                counted=(key.calls, key.cost_pico),
                traces=key.traces,
            )
