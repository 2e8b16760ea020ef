"""The simulated Realtime API, and Responses over a WebSocket; what they bill goes to the truth log.

How much a response uses is said by the client in its metadata, so that a test knows it:
``{"type": "response.create", "response": {"metadata": {"sim": "text=100,cached_text=64"}}}`` with
the names of :data:`SIZES`; ``cut=1`` breaks off in the middle, ``hold=1`` never ends, ``fail=1``
and ``cancel=1`` end it so.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook import clock
from tollbook.money import usd_text
from tollbook.simulator.pricelist import Quantities, find_model, price
from tollbook.simulator.truth import Ended, Received

if TYPE_CHECKING:
    from tollbook.simulator.pricelist import Model
    from tollbook.simulator.provider.websocket import Socket
    from tollbook.simulator.truth import TruthLog

SIZES: Final = {
    "text": 40, "audio": 0, "image": 0, "cached_text": 0, "cached_audio": 0, "cached_image": 0,
    "out_text": 12, "out_audio": 30,
}  # fmt: skip
"""Tokens of a response by default; the cached ones are among the others."""
_PCM16_BYTES_PER_TOKEN: Final = 2400  # 50 ms of output
_encode = msgspec.json.Encoder().encode


class Ledger:
    """Writes what a socket bills."""

    def __init__(self, log: TruthLog, path: str, leaks: tuple[str, ...]) -> None:
        self._log = log
        self._path = path
        self._leaks = leaks

    def begin(self, model: str | None) -> str:
        """Note that something began; return its id."""
        attempt_id = self._log.new_attempt_id()
        self._log.write(
            Received(
                attempt_id=attempt_id, provider="openai", method="GET", path=self._path,
                arrived_at_ns=clock.unix_ns(), model_requested=model, is_stream=True,
                leaks=self._leaks,
            )
        )  # fmt: skip
        return attempt_id

    def end(
        self, attempt_id: str, outcome: str, *, response_id: str | None = None,
        model: Model | None = None, billed: Quantities | None = None, has_usage: bool = False,
    ) -> None:  # fmt: skip
        """Note how it ended and what is billed for it."""
        is_billed = model is not None and billed is not None
        costs = price(model, billed) if model is not None and billed is not None else {}
        self._log.write(
            Ended(
                attempt_id=attempt_id, ended_at_ns=clock.unix_ns(), outcome=outcome,
                http_status=101, model=model.snapshot if model else None,
                response_id=response_id, is_billed=is_billed,
                quantities={k: n for k, n in billed._asdict().items() if n} if billed else {},
                cost_usd=usd_text(sum(costs.values())), usage_delivered=has_usage,
            )
        )  # fmt: skip


class RealtimeTalker:
    """One Realtime session."""

    def __init__(self, model: Model, ledger: Ledger) -> None:
        self._model = model
        self._ledger = ledger
        self._socket: Socket | None = None
        self._transcriber: Model | None = None
        self._heard_bytes = 0
        self._count = 0
        self._session: dict[str, Any] = {
            "type": "realtime", "object": "realtime.session", "id": f"sess_{id(self):x}",
            "model": model.snapshot,
        }  # fmt: skip

    def begin(self, socket: Socket) -> None:
        """Greet with the session."""
        self._socket = socket
        self._send({"type": "session.created", "session": self._session})

    def gone(self) -> None:
        """Let go."""
        self._socket = None

    def message(self, text: bytes) -> None:
        """Answer an event of the client."""
        try:
            event = msgspec.json.decode(text)
            kind = event["type"]
        except (msgspec.DecodeError, TypeError, KeyError):
            self._error("invalid_request_error", "invalid_event")
            return
        if kind == "session.update":
            self._update(event.get("session") or {})
        elif kind == "conversation.item.create":
            self._send({"type": "conversation.item.added", "item": event.get("item")})
        elif kind == "input_audio_buffer.append":
            self._heard_bytes += len(base64.b64decode(event.get("audio") or ""))
        elif kind == "input_audio_buffer.commit":
            self._commit()
        elif kind == "response.create":
            self._respond(event.get("response") or {})
        else:
            self._error("invalid_request_error", "unknown_event")

    def _update(self, session: dict[str, Any]) -> None:
        self._session |= session
        transcription = ((session.get("audio") or {}).get("input") or {}).get("transcription")
        if transcription:
            self._transcriber = find_model("openai", transcription.get("model", ""))
        self._send({"type": "session.updated", "session": self._session})

    def _commit(self) -> None:
        self._count += 1
        item = f"item_{self._count}"
        self._send({"type": "input_audio_buffer.committed", "item_id": item})
        model = self._transcriber
        if model is None:
            return
        attempt = self._ledger.begin(model.name)
        if "audio_ms" in model.usd_per_mtok:
            ms = self._heard_bytes * 1000 // 48_000
            billed = Quantities(audio_ms=ms)
            usage: dict[str, Any] = {"type": "duration", "seconds": ms / 1000}
        else:
            tokens = -(-self._heard_bytes // 4800)
            billed = Quantities(input_audio=tokens, visible_output=5)
            details = {"text_tokens": 0, "audio_tokens": tokens}
            usage = {
                "type": "tokens", "total_tokens": tokens + 5, "input_tokens": tokens,
                "input_token_details": details, "output_tokens": 5,
            }  # fmt: skip
        self._heard_bytes = 0
        self._ledger.end(
            attempt, "ok", response_id=item, model=model, billed=billed, has_usage=True
        )
        self._send(
            {
                "type": "conversation.item.input_audio_transcription.completed", "item_id": item,
                "content_index": 0, "transcript": "what was said", "usage": usage,
            }
        )  # fmt: skip

    def _respond(self, asked: dict[str, Any]) -> None:
        self._count += 1
        response_id = f"resp_{id(self):x}_{self._count}"
        wish = str((asked.get("metadata") or {}).get("sim") or "")
        pairs = (pair.partition("=") for pair in wish.split(",") if pair)
        size = SIZES | {name: int(value) for name, _, value in pairs}
        attempt = self._ledger.begin(self._model.name)
        response: dict[str, Any] = {
            "object": "realtime.response", "id": response_id, "status": "in_progress",
            "status_details": None, "output": [], "usage": None, "metadata": asked.get("metadata"),
        }  # fmt: skip
        self._send({"type": "response.created", "response": response})
        text = "word " * size["out_text"]
        self._delta("response.output_audio_transcript.delta", response_id, text)
        audio = base64.b64encode(bytes(size["out_audio"] * _PCM16_BYTES_PER_TOKEN)).decode()
        if audio:
            self._delta("response.output_audio.delta", response_id, audio)
        billed = _billed(size)
        if size.get("cut"):
            self._ledger.end(
                attempt, "cut", response_id=response_id, model=self._model, billed=billed
            )
            if self._socket is not None:
                self._socket.close()
            return
        if size.get("hold"):
            return
        if size.get("fail"):
            self._ledger.end(attempt, "error", response_id=response_id)
            error = {"type": "server_error", "code": "model_failure"}
            response |= {"status": "failed", "status_details": {"type": "failed", "error": error}}
        else:
            self._ledger.end(
                attempt, "ok", response_id=response_id, model=self._model, billed=billed,
                has_usage=True,
            )  # fmt: skip
            status = "cancelled" if size.get("cancel") else "completed"
            response |= {"status": status, "usage": _usage(size)}
        self._send({"type": "response.done", "response": response})

    def _delta(self, kind: str, response_id: str, delta: str) -> None:
        self._send({"type": kind, "response_id": response_id, "item_id": "item", "delta": delta})

    def _error(self, kind: str, code: str) -> None:
        self._send({"type": "error", "error": {"type": kind, "code": code, "message": code}})

    def _send(self, event: dict[str, Any]) -> None:
        self._count += 1
        if self._socket is not None:
            self._socket.send(_encode({"event_id": f"event_{self._count}", **event}))


def _billed(size: dict[str, int]) -> Quantities:
    return Quantities(
        uncached_input=size["text"] - size["cached_text"],
        cache_read=size["cached_text"],
        input_audio=size["audio"] - size["cached_audio"],
        cache_read_audio=size["cached_audio"],
        input_image=size["image"] - size["cached_image"],
        cache_read_image=size["cached_image"],
        visible_output=size["out_text"],
        output_audio=size["out_audio"],
    )


def _usage(size: dict[str, int]) -> dict[str, Any]:
    """Return usage as response.done has it: cached tokens are part of the details by modality."""
    given = size["text"] + size["audio"] + size["image"]
    out = size["out_text"] + size["out_audio"]
    made = {"text_tokens": size["out_text"], "audio_tokens": size["out_audio"]}
    cached = {f"{kind}_tokens": size[f"cached_{kind}"] for kind in ("text", "audio", "image")}
    return {
        "total_tokens": given + out,
        "input_tokens": given,
        "output_tokens": out,
        "input_token_details": {
            "text_tokens": size["text"],
            "audio_tokens": size["audio"],
            "image_tokens": size["image"],
            "cached_tokens": sum(cached.values()),
            "cached_tokens_details": cached,
        },
        "output_token_details": made,
    }
