"""The handshake of the simulated WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from tollbook.simulator.pricelist import find_model
from tollbook.simulator.provider.realtime import Ledger, RealtimeTalker
from tollbook.simulator.provider.realtime_responses import ResponsesTalker
from tollbook.simulator.provider.websocket import Socket, accepted

if TYPE_CHECKING:
    import asyncio

    from tollbook.simulator.provider.api import Api
    from tollbook.simulator.provider.http import Request
    from tollbook.simulator.provider.sizing import PromptCache
    from tollbook.simulator.truth import TruthLog

_KEY_PROTOCOL: Final = "openai-insecure-api-key."
_ANY: Final = "gpt-realtime"


class Door(NamedTuple):
    """A handshake and what the server knows."""

    request: Request
    path: str  # below the provider's prefix
    api: Api
    log: TruthLog
    cache: PromptCache
    leaks: tuple[str, ...]
    key_prefix: str


def open_socket(door: Door, transport: asyncio.Transport, rest: bytes) -> None:
    """Answer a handshake: with 101, or with the refusal that the HTTP API would give."""
    headers, path = door.request.headers, door.path
    protocols = [one.strip() for one in headers.get("sec-websocket-protocol", "").split(",")]
    key = door.api.credential(headers) or next(
        (one[len(_KEY_PROTOCOL) :] for one in protocols if one.startswith(_KEY_PROTOCOL)), None
    )
    is_valid = key is not None and key.startswith(door.key_prefix)
    leaks = door.leaks if is_valid or key is None else (*door.leaks, "credential")
    if "sec-websocket-extensions" in headers:
        leaks = (*leaks, "extensions offered")
    ledger = Ledger(door.log, door.request.path, leaks)
    if not is_valid:
        _refuse(transport, ledger, 401, "invalid_api_key")
        return
    talker: RealtimeTalker | ResponsesTalker
    if path.endswith("/realtime"):
        query = parse_qs(door.request.query)
        name = (query.get("model") or query.get("deployment") or [_ANY])[0]
        model = find_model("openai", name)
        if model is None or "realtime" not in model.apis:
            _refuse(transport, ledger, 404, "model_not_found")
            return
        talker = RealtimeTalker(model, ledger)
    elif path.endswith("/responses"):
        talker = ResponsesTalker(door.api, headers, door.cache, ledger)
    else:
        _refuse(transport, ledger, 404, "not_found")
        return
    ledger.end(ledger.begin(None), "ok")
    chosen = "realtime" if "realtime" in protocols else None
    transport.write(
        accepted(headers.get("sec-websocket-key", ""), door.api.head("req_socket", 3), chosen)
    )
    is_fragmented = headers.get("x-sim-fault") == "fragmented"
    Socket(talker, is_fragmented=is_fragmented).take_over(transport, rest)


def _refuse(transport: asyncio.Transport, ledger: Ledger, status: int, code: str) -> None:
    ledger.end(ledger.begin(None), "rejected")
    error = {"message": code, "type": "invalid_request_error", "param": None, "code": code}
    body = msgspec.json.encode({"error": error})
    head = b"HTTP/1.1 %d Refused\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    transport.write(head % (status, len(body)) + body)
    transport.close()
