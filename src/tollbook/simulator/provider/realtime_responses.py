"""Responses over a WebSocket: each ``response.create`` is answered as the HTTP API would stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tollbook import clock
from tollbook.simulator.provider.answers import Plain, RefusedError, Shape
from tollbook.simulator.provider.api import Api, Incoming

if TYPE_CHECKING:
    from tollbook.simulator.provider.realtime import Ledger
    from tollbook.simulator.provider.sizing import PromptCache
    from tollbook.simulator.provider.websocket import Socket

_encode = msgspec.json.Encoder().encode


class ResponsesTalker:
    """One socket; its responses come one after the other."""

    def __init__(
        self, api: Api, headers: dict[str, str], cache: PromptCache, ledger: Ledger
    ) -> None:
        self._api = api
        self._headers = headers
        self._cache = cache
        self._ledger = ledger
        self._socket: Socket | None = None

    def begin(self, socket: Socket) -> None:
        """Wait for the client."""
        self._socket = socket

    def gone(self) -> None:
        """Let go."""
        self._socket = None

    def message(self, text: bytes) -> None:
        """Answer ``response.create`` with the events of its stream, one a message."""
        socket = self._socket
        try:
            body = msgspec.json.decode(text)
            is_asked = body.pop("type") == "response.create"
        except (msgspec.DecodeError, AttributeError, TypeError, KeyError):
            is_asked = False
        if socket is None or not is_asked:
            self._refuse("invalid_request_error", "invalid_event")
            return
        attempt = self._ledger.begin(body.get("model"))
        incoming = Incoming(
            "POST", "/v1/responses", self._headers, body | {"stream": True}, attempt,
            clock.unix_ns(), Shape(), self._cache,
        )  # fmt: skip
        try:
            answer = self._api.answer(incoming)
        except RefusedError as refused:
            self._ledger.end(attempt, "rejected")
            self._refuse(refused.error_type, refused.code or refused.error_type)
            return
        assert not isinstance(answer, Plain)
        generation = answer.generation
        self._ledger.end(
            attempt, "ok", response_id=answer.response_id, model=generation.model,
            billed=generation.quantities, has_usage=True,
        )  # fmt: skip
        for event in answer.events:
            for line in event.data.split(b"\n"):
                if line.startswith(b"data:"):
                    socket.send(line[5:].strip())

    def _refuse(self, kind: str, code: str) -> None:
        error = {"type": "error", "status": 400, "error": {"type": kind, "code": code}}
        if self._socket is not None:
            self._socket.send(_encode(error))
