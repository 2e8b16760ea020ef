"""Servers that behave like Stripe, Lago and OpenMeter, with faults on demand."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "sk_test_secret_123"
_DAY_S = 86_400


class Answer(NamedTuple):
    status: int
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 -- never changed


class Fault(NamedTuple):
    """What goes wrong with one request: an answer of its own, or a cut connection."""

    answer: Answer | None
    """None: the connection is cut."""
    is_taken: bool = False
    """Whether the request is carried out before."""


class FakeSystem:
    """One server; ``faults`` maps the number of a request, from 1, to what goes wrong."""

    def __init__(self) -> None:
        self.faults: dict[int, Fault] = {}
        self.events: dict[str, dict[str, Any]] = {}
        """By the id that copies are told by."""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.copies = 0
        self.lock = threading.Lock()
        self.on_request: Callable[[int], None] = lambda _number: None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fake.serve(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self.lock:
            self.requests.append((handler.path, headers, body))
            number = len(self.requests)
            fault = self.faults.get(number)
            answer = self._answer(handler.path, headers, body, fault)
        self.on_request(number)
        if fault is not None and fault.answer is None:
            handler.close_connection = True
            handler.connection.close()
            return
        shown = b"" if answer.body is None else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(shown)))
        handler.end_headers()
        handler.wfile.write(shown)

    def _answer(
        self, path: str, headers: dict[str, str], body: bytes, fault: Fault | None
    ) -> Answer:
        if headers.get("authorization") != f"Bearer {KEY}":
            return Answer(401, {"error": {"message": f"Invalid API Key: {KEY}"}})
        if fault is not None and not fault.is_taken:
            return fault.answer or Answer(500)
        answer = self.take(path, headers, body)
        return answer if fault is None else fault.answer or answer

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise AssertionError(path)

    def sums(self) -> dict[tuple[str, str], int]:
        """Quantity by meter and customer."""
        found: dict[tuple[str, str], int] = {}
        for one in self.events.values():
            at = (one["meter"], one["customer"])
            found[at] = found.get(at, 0) + one["value"]
        return {at: value for at, value in found.items() if value}


class FakeStripe(FakeSystem):
    """``/v1/billing/meter_events`` and its adjustments."""

    def __init__(self, meters: tuple[str, ...] = ("tokens", "spend")) -> None:
        self.meters = meters
        self.cancelled: list[str] = []
        super().__init__()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        if form["event_name"] not in self.meters:
            return _stripe_error(f"No active meter found for event name {form['event_name']}")
        if path == "/v1/billing/meter_event_adjustments":
            return self._cancel(form)
        assert path == "/v1/billing/meter_events"
        value, at_s, now_s = form["payload[value]"], int(form["timestamp"]), time.time()
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            return _stripe_error(f"Invalid value {value} for a meter event")
        if at_s < now_s - 35 * _DAY_S or at_s > now_s + 300:
            return _stripe_error("Timestamp must be within the past 35 calendar days")
        identifier = form["identifier"]
        if identifier in self.events:
            self.copies += 1
            return _stripe_error(f"An event already exists with identifier {identifier}.")
        self.events[identifier] = {
            "meter": form["event_name"], "customer": form["payload[stripe_customer_id]"],
            "value": int(value), "timestamp": at_s,
        }  # fmt: skip
        return Answer(200, {
            "object": "billing.meter_event", "identifier": identifier, "livemode": False,
            "event_name": form["event_name"], "created": int(now_s), "timestamp": at_s,
            "payload": {"stripe_customer_id": form["payload[stripe_customer_id]"], "value": value},
        })  # fmt: skip

    def _cancel(self, form: dict[str, str]) -> Answer:
        assert form["type"] == "cancel"
        identifier = form["cancel[identifier]"]
        if identifier in self.cancelled:
            return _stripe_error("This event was already cancelled")
        if identifier not in self.events:
            return _stripe_error("No such event")
        self.cancelled.append(identifier)
        self.events[identifier]["value"] = 0
        return Answer(200, {"object": "billing.meter_event_adjustment", "status": "pending"})


def _stripe_error(message: str) -> Answer:
    return Answer(400, {"error": {"type": "invalid_request_error", "message": message}})


class FakeLago(FakeSystem):
    """``/api/v1/events/batch``: all or none, a transaction id is unique for ever."""

    codes = ("tokens", "spend")

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert path == "/api/v1/events/batch"
        del headers
        events = json.loads(body)["events"]
        if len(events) > 100:
            return Answer(422, {"error_details": {"events": ["too_many_events"]}})
        problems: dict[str, Any] = {}
        for at, one in enumerate(events):
            if one["transaction_id"] in self.events:
                self.copies += 1
                problems[str(at)] = {"transaction_id": ["value_already_exist"]}
            elif one["code"] not in self.codes or one["external_subscription_id"] == "gone":
                problems[str(at)] = {"code": ["metric_not_found"]}
        if problems:
            return Answer(422, {
                "status": 422, "error": "Unprocessable Entity", "code": "validation_errors",
                "error_details": problems,
            })  # fmt: skip
        for one in events:
            self.events[one["transaction_id"]] = {
                "meter": one["code"], "customer": one["external_subscription_id"],
                "value": _pico(one["properties"]["value"]), "timestamp": one["timestamp"],
            }  # fmt: skip
        return Answer(200, {"events": events})


class FakeOpenMeter(FakeSystem):
    """``/api/v1/events``: CloudEvents, copies are dropped without a word."""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert path == "/api/v1/events"
        assert headers["content-type"] == "application/cloudevents-batch+json"
        events = json.loads(body)
        assert len(events) <= 100
        if any(one["subject"] == "bad" for one in events):
            return Answer(400, {"title": "Bad Request", "detail": "a subject is not valid"})
        for one in events:
            assert one["specversion"] == "1.0"
            key = f"{one['source']}/{one['id']}"
            self.copies += key in self.events
            self.events.setdefault(key, {
                "meter": one["type"], "customer": one["subject"], "timestamp": one["time"],
                "value": _pico(one["data"]["value"]),
            })  # fmt: skip
        return Answer(204)


def _pico(text: str) -> int:
    """Whole numbers as they are, decimal dollars in pico."""
    whole, point, rest = text.partition(".")
    if not point:
        return int(text)
    return int(whole + rest.ljust(12, "0"))
