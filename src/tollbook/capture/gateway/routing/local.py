"""What the gateway answers itself under ``/v1/``: its list of models; that nothing serves it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tollbook.capture.gateway.callers import Caller, Refusal
from tollbook.capture.gateway.routing.router import is_models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tollbook.capture.gateway.provider import Upstream
    from tollbook.capture.gateway.routing.router import DialectRoutes, Router
    from tollbook.dialects.base import Header

    Admit = Callable[[str | None, Upstream, Sequence[Header]], Caller | Refusal]
    """Decides on a credential; see :class:`tollbook.capture.gateway.callers.Callers`."""

_OWNER: Final = "tollbook"
_NO_TIME: Final = "1970-01-01T00:00:00Z"


class LocalReply(NamedTuple):
    """Status and JSON body."""

    status: int
    body: bytes


def routed_reply(
    router: Router, admit: Admit, method: str, target: bytes, headers: Sequence[Header]
) -> LocalReply | None:
    """Return the reply to a request under ``/v1/`` that goes to no provider, None for other paths.

    Errors have the shape of the API that the request speaks.
    """
    side = router.side_of(method, target, headers)
    if side is None:
        return None
    path = target.partition(b"?")[0]
    if not side.has_routes or not is_models(method, path):
        refusal = side.no_route(None)
    else:
        found = admit(side.dialect.read_credential(headers), side.leads[0], headers)
        if isinstance(found, Caller):
            models = [name for name in side.models() if _may_use(found, name)]
            wanted = path[len(b"/v1/models/") :].decode("ascii")
            if not wanted:
                return LocalReply(200, msgspec.json.encode(_list(side, models)))
            if side.serves(wanted) and _may_use(found, wanted):
                return LocalReply(200, msgspec.json.encode(_model(side, wanted)))
            refusal = side.no_route(wanted)
        else:
            refusal = found
    body = side.dialect.error_body(refusal.status, refusal.error_type, refusal.message)
    return LocalReply(refusal.status, body)


def _may_use(caller: Caller, model: str) -> bool:
    binding = caller.binding
    if binding is None or not binding.models:
        return True
    return any(fnmatchcase(model, pattern) for pattern in binding.models)


def _list(side: DialectRoutes, models: Sequence[str]) -> dict[str, object]:
    data = [_model(side, name) for name in models]
    if side.dialect.name != "anthropic":
        return {"object": "list", "data": data}
    return {
        "data": data,
        "has_more": False,
        "first_id": models[0] if models else None,
        "last_id": models[-1] if models else None,
    }


def _model(side: DialectRoutes, name: str) -> dict[str, object]:
    if side.dialect.name == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _NO_TIME}
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}
