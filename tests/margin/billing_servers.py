"""Servers that answer as Stripe and Lago do: pages, limits, faults, and keys that are checked."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk_test_secret"
Answer = tuple[int, dict[str, Any]]


class Faults:
    """What goes wrong before each request is answered, the next first."""

    def __init__(self) -> None:
        self.waiting: list[int | str] = []
        self.seen: list[str] = []


@contextmanager
def served(answer: Callable[[str, dict[str, str]], Answer], faults: Faults) -> Iterator[str]:
    """Serve an API on a port of its own; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            faults.seen.append(self.path)
            fault = faults.waiting.pop(0) if faults.waiting else None
            if fault == "cut":
                self.close_connection = True
                self.connection.close()
                return
            if isinstance(fault, int):
                self._send((fault, {"error": {"message": "try later"}}), retry_after="0")
                return
            if self.headers.get("authorization") != f"Bearer {KEY}":
                self._send((401, {"error": {"message": "Invalid API Key provided"}}))
                return
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._send(answer(parts.path, query))

        def _send(self, told: Answer, retry_after: str | None = None) -> None:
            body = json.dumps(told[1]).encode()
            self.send_response(told[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if retry_after is not None:
                self.send_header("retry-after", retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base's own
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Stripe:
    """Invoices and credit notes, newest first, at most so many to a page."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.invoices: list[dict[str, Any]] = []
        self.credit_notes: list[dict[str, Any]] = []

    def __call__(self, path: str, query: dict[str, str]) -> Answer:
        words = path.strip("/").split("/")
        owners = {"invoices": self.invoices, "credit_notes": self.credit_notes}[words[1]]
        if len(words) == 4:
            owner = next(one for one in owners if one["id"] == words[2])
            return 200, self._list(owner["_lines"], query, path)
        since = int(query.get("created[gte]", "0"))
        told = [self._shown(one, path) for one in owners if one["created"] >= since]
        return 200, self._list(told, query, path)

    def _shown(self, one: dict[str, Any], path: str) -> dict[str, Any]:
        shown = {name: value for name, value in one.items() if name != "_lines"}
        return shown | {"lines": self._list(one["_lines"], {}, f"{path}/{one['id']}/lines")}

    def _list(self, items: list[dict[str, Any]], query: dict[str, str], url: str) -> dict[str, Any]:
        after = query.get("starting_after")
        start = 0 if after is None else 1 + [one["id"] for one in items].index(after)
        shown = items[start : start + min(self.page, int(query.get("limit", "10")))]
        has_more = start + len(shown) < len(items)
        return {"object": "list", "data": shown, "has_more": has_more, "url": url}


def invoice(invoice_id: str, created: int, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an invoice as Stripe has it."""
    made = {
        "id": invoice_id, "object": "invoice", "created": created, "effective_at": created,
        "currency": "usd", "customer": "cus_1", "status": "paid", "metadata": {}, "parent": None,
        "_lines": list(lines),
    }  # fmt: skip
    return made | fields


def line(line_id: str, amount: int, start: int, end: int, **fields: Any) -> dict[str, Any]:
    """Return a line of an invoice as Stripe has it."""
    made = {
        "id": line_id, "object": "line_item", "amount": amount, "currency": "usd",
        "description": f"line {line_id}", "discount_amounts": [], "taxes": [], "metadata": {},
        "period": {"start": start, "end": end}, "quantity": 1,
    }  # fmt: skip
    return made | fields


class Lago:
    """Invoices with fees, and credit notes with items."""

    def __init__(self, page: int = 2) -> None:
        self.page = page
        self.invoices: list[dict[str, Any]] = []
        self.credit_notes: list[dict[str, Any]] = []

    def __call__(self, path: str, query: dict[str, str]) -> Answer:
        words = path.strip("/").split("/")
        name = words[2]
        owners = {"invoices": self.invoices, "credit_notes": self.credit_notes}[name]
        if len(words) == 4:
            found = [one for one in owners if one["lago_id"] == words[3]]
            return (200, {"invoice": found[0]}) if found else (404, {"error": "Not Found"})
        since = query.get("issuing_date_from", "")
        told = [
            {key: value for key, value in one.items() if key != "fees"}
            for one in owners if one["issuing_date"] >= since
        ]  # fmt: skip
        page = int(query["page"])
        shown = told[(page - 1) * self.page : page * self.page]
        is_last = page * self.page >= len(told)
        meta = {"current_page": page, "next_page": None if is_last else page + 1}
        return 200, {name: shown, "meta": meta}
