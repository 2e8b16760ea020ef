"""Providers' statement APIs as real HTTP servers, with the faults that they have.

Shapes follow the providers' references; every request is kept, so that a test can say what may be
asked. Faults are taken one by one before anything is answered.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_S = 86_400
Answer = tuple[int, dict[str, str], bytes]


class Asked:
    """One request as it came."""

    def __init__(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> None:  # fmt: skip
        parts = urlsplit(target)
        self.method, self.path = method, parts.path
        self.query = parse_qs(parts.query)
        self.headers, self.body = headers, body

    def one(self, name: str) -> str | None:
        """Return the one value of a name in the query."""
        return self.query.get(name, [None])[0]


class FakeApi:
    """Serves what a function answers; a context manager.

    Args:
        answer: from a request to what is answered.
    """

    def __init__(self, answer: Callable[[Asked], Any]) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Answer | str] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _serve(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                one = Asked(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()},
                    self.rfile.read(size),
                )  # fmt: skip
                api.asked.append(one)
                fault = api.faults.pop(0) if api.faults else None
                if fault == "cut":
                    self.send_response(200)
                    self.send_header("content-length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"data": [')
                    self.close_connection = True
                    return
                if fault == "hang up":
                    self.close_connection = True
                    return
                if isinstance(fault, tuple):
                    status, headers, body = fault
                else:
                    found = answer(one)
                    is_answer = isinstance(found, tuple)
                    status, headers, body = (
                        found if is_answer else (200, {}, json.dumps(found).encode())
                    )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _serve  # noqa: N815 -- as the standard library calls them

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class OpenAiOrganization:
    """Usage and costs by day, in pages of a few days.

    Args:
        tokens: day (``2026-10-05``) to input tokens; changed by tests, as a provider revises.
        page_days: buckets on a page.
    """

    def __init__(self, tokens: dict[str, int], page_days: int = 10) -> None:
        self.tokens, self.page_days = tokens, page_days

    def __call__(self, asked: Asked) -> Any:
        if asked.headers.get("authorization") != "Bearer sk-admin-secret":
            return 401, {}, b'{"error": {"message": "Incorrect API key provided"}}'
        start, end = int(asked.one("start_time") or 0), int(asked.one("end_time") or 0)
        first = int(asked.one("page") or start)
        last = min(end, first + self.page_days * DAY_S)
        name = asked.path.rpartition("/")[2]
        data = [
            {
                "object": "bucket", "start_time": at, "end_time": at + DAY_S,
                "results": self._results(name, at),
            }
            for at in range(first, last, DAY_S)
        ]  # fmt: skip
        more = last < end
        return {
            "object": "page", "data": data, "has_more": more,
            "next_page": str(last) if more else None,
        }  # fmt: skip

    def _results(self, name: str, at: int) -> list[dict[str, Any]]:
        count = self.tokens.get(datetime.fromtimestamp(at, UTC).date().isoformat())
        if not count:
            return []
        if name == "costs":
            return [{
                "object": "organization.costs.result",
                "amount": {"value": count / 1000, "currency": "usd"},
                "line_item": "gpt-5-mini, input", "project_id": "p",
            }]  # fmt: skip
        if name != "completions":
            return []
        return [{
            "object": "organization.usage.completions.result", "input_tokens": count,
            "output_tokens": 0, "num_model_requests": 1, "model": "gpt-5-mini",
        }]  # fmt: skip


def anthropic_organization(asked: Asked) -> Any:
    """Answer a report of one result a day."""
    if asked.headers.get("x-api-key") != "sk-ant-admin" or "anthropic-version" not in asked.headers:
        return 403, {}, b'{"type":"error","error":{"type":"x","message":"not an admin key"}}'
    at = datetime.fromisoformat(asked.one("page") or asked.one("starting_at") or "")
    end = datetime.fromisoformat(asked.one("ending_at") or "")
    last = min(end, at + timedelta(days=7))
    data = []
    while at < last:
        result: dict[str, Any] = {"uncached_input_tokens": 10, "model": "claude-opus-4-5"}
        if asked.path.endswith("cost_report"):
            result = {"amount": "150", "currency": "USD", "cost_type": "web_search"}
        data.append({
            "starting_at": at.isoformat(), "ending_at": (at + timedelta(days=1)).isoformat(),
            "results": [result],
        })  # fmt: skip
        at += timedelta(days=1)
    more = at < end
    return {"data": data, "has_more": more, "next_page": at.isoformat() if more else None}
