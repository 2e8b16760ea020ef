"""Attempts that belong together: the same request again, soon after it failed in a passing way.

Clients retry within the thread or task that called them, so a failed request is looked for there.
Nothing is kept of requests that succeed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook import clock

if TYPE_CHECKING:
    from tollbook.call import Identity
    from tollbook.sdk.harness.begun import Begun

_KEPT_MAX: Final = 256
_KEPT_NS: Final = 120 * clock.NS_PER_S

_Key = tuple[int, int, str, str, int, str | None, str | None, str | None]


class Earlier(NamedTuple):
    """The attempt before."""

    call_id: bytes
    operation_id: bytes
    attempt: int
    failed_at_ns: int


failed: OrderedDict[_Key, Earlier] = OrderedDict()
"""Looked at before anything is asked, so that calls cost nothing while none has failed."""


def remember(begun: Begun) -> None:
    """Note that a request failed in a way that its client may try again."""
    opened = begun.opened()
    operation_id = opened.operation_id or opened.call_id
    key = _key(opened.provider, opened.path, begun.sent, begun.whose)
    failed[key] = Earlier(opened.call_id, operation_id, opened.attempt, clock.monotonic_ns())
    while len(failed) > _KEPT_MAX:
        failed.popitem(last=False)


def earlier(provider: str, path: str, body: bytes, owner: Identity) -> Earlier | None:
    """Return the failed attempt that this request of an owner repeats, once."""
    found = failed.pop(_key(provider, path, body, owner), None)
    if found is None or clock.monotonic_ns() - found.failed_at_ns > _KEPT_NS:
        return None
    return found


def _key(provider: str, path: str, body: bytes, owner: Identity) -> _Key:
    try:
        task = id(asyncio.current_task())
    except RuntimeError:
        task = 0
    # A thread of a pool may have the same text for the next tenant: that is no retry.
    whose = owner.tenant_id, owner.agent_run_id, owner.request_id
    return threading.get_ident(), task, provider, path, hash(body), *whose
