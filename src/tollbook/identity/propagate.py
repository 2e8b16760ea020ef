"""Which headers may leave for a provider, and the trace a call belongs to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_OURS: Final = frozenset({b"baggage", b"traceparent", b"tracestate"})
_OUR_PREFIXES: Final = (b"x-tollbook-", b"x-portkey-", b"helicone-", b"x-litellm-")

_traceparent = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
    rb"(?P<rest>-.*)?",
    re.DOTALL,
).fullmatch


def reaches_provider(name: bytes) -> bool:
    """Whether a request header (lower case) may be forwarded to a provider.

    Identity and trace headers say who the caller's customers are; no provider needs them.
    """
    return name not in _OURS and not name.startswith(_OUR_PREFIXES)


def trace_context(headers: Sequence[tuple[bytes, bytes]]) -> tuple[str | None, str | None]:
    """Return the trace id and the parent span id of a W3C ``traceparent``, else None twice.

    Strict as W3C Trace Context section 3.2 asks: lower-case hex, no all-zero id, version not
    ``ff``, nothing after the flags in version ``00``; several headers are none.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    if len(values) != 1:
        return None, None
    match = _traceparent(values[0].strip(b" \t"))
    if match is None:
        return None, None
    version, trace, parent, rest = match["version"], match["trace"], match["parent"], match["rest"]
    if version == b"ff" or (version == b"00" and rest is not None):
        return None, None
    if trace == b"0" * 32 or parent == b"0" * 16:
        return None, None
    return trace.decode(), parent.decode()
