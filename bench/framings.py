"""Part ``framings``: what each provider's stream framing costs the gateway, and what routing does.

The ratio is to an OpenAI chat stream (framings) and to the same call without a route (routing) in
the same run.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench import machine
from bench.answers import request_body, request_headers
from bench.figures import Figure, figure
from bench.nginx import free_port, wait_for_port
from bench.procs import Processes, cpu_s, first_line
from bench.wrk import run_wrk
from tollbook.books.store import open_books

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROUNDS = 3
_RUN_S = 2
_CONNECTIONS = 32
_CONFIG = """
[gateway]
port = {port}
[providers.plain]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream}/plain"
[providers.other]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream}/plain"
[providers.chat]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream}/chat"
[providers.responses]
dialect = "openai"
base_url = "http://127.0.0.1:{upstream}/responses"
[providers.claude]
dialect = "anthropic"
base_url = "http://127.0.0.1:{upstream}/anthropic"
[providers.gem]
dialect = "gemini"
base_url = "http://127.0.0.1:{upstream}/gemini"
[providers.bed]
dialect = "bedrock"
base_url = "http://127.0.0.1:{upstream}/bedrock"
auth = "key"
api_key_env = "BENCH_KEY"
[providers.olla]
dialect = "ollama"
base_url = "http://127.0.0.1:{upstream}/ollama"
[routes.two]
models = ["gpt-4o*"]
targets = [{{ provider = "plain" }}, {{ provider = "other" }}]
strategy = "{strategy}"
retries = 2
"""
_MESSAGES = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 18}]


class Asked(NamedTuple):
    """A request of one API."""

    path: str
    body: bytes


def _asked() -> dict[str, Asked]:
    chat = json.dumps({"model": "gpt-4o", "stream": True, "messages": _MESSAGES}).encode()
    claude = json.dumps({"model": "claude-haiku-4-5", "max_tokens": 256, "stream": True,
                         "messages": _MESSAGES}).encode()  # fmt: skip
    parts = [{"role": "user", "parts": [{"text": _MESSAGES[0]["content"]}]}]
    content = [{"role": "user", "content": [{"text": _MESSAGES[0]["content"]}]}]
    reply = {"model": "gpt-4o-mini", "stream": True, "input": _MESSAGES}
    return {
        "chat": Asked("/chat/v1/chat/completions", chat),
        "responses": Asked("/responses/v1/responses", json.dumps(reply).encode()),
        "anthropic": Asked("/claude/v1/messages", claude),
        "gemini": Asked("/gem/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
                        json.dumps({"contents": parts}).encode()),
        "bedrock": Asked("/bed/model/amazon.nova-lite-v1%3A0/converse-stream",
                         json.dumps({"messages": content}).encode()),
        "ollama": Asked("/olla/api/chat",
                        json.dumps({"model": "m", "messages": _MESSAGES}).encode()),
    }  # fmt: skip


def run() -> list[Figure]:
    """Measure the framings, then routing."""
    if machine.find_program("wrk") is None:
        return [figure("framings.cpu", None, "us", note="wrk is not installed")]
    figures = _compared("framings", "chat", _asked(), "ordered")
    plain = request_body(1024, is_stream=False)
    for strategy in ("ordered", "weighted", "latency"):
        asked = {
            "unrouted": Asked("/plain/v1/chat/completions", plain),
            strategy: Asked("/v1/chat/completions", plain),
        }
        figures += _compared("routing", "unrouted", asked, strategy)
    return figures


def _compared(part: str, base: str, asked: Mapping[str, Asked], strategy: str) -> list[Figure]:
    with Processes() as processes, tempfile.TemporaryDirectory(prefix="tollbook-bench-") as name:
        work = Path(name)
        upstream = processes.start_python(["bench.upstream"], core=machine.LOAD_CORE)
        port, pid = _gateway(processes, work, int(first_line(upstream, "the provider")), strategy)
        costs: dict[str, list[float]] = {one: [] for one in asked}
        for turn in range(_ROUNDS + 1):
            for one, request in asked.items():
                file = work / one
                _write(file, request)
                before = cpu_s(pid)
                done = run_wrk(processes, port, file, connections=_CONNECTIONS, duration_s=_RUN_S)
                if turn:
                    costs[one].append((cpu_s(pid) - before) / done.requests * 1e6)
    return [
        figure(
            f"{part}.{one}.cpu_per_request",
            median(cost),
            "us",
            baseline=None if one == base else median(costs[base]),
            ratio=None if one == base else median(cost) / median(costs[base]),
            baseline_is=None if one == base else base,
            samples=cost,
        )
        for one, cost in costs.items()
    ]


def _gateway(processes: Processes, work: Path, upstream: int, strategy: str) -> tuple[int, int]:
    port, config, data = free_port(), work / "tollbook.toml", work / "data"
    data.mkdir(mode=0o700)
    open_books(data).close()
    config.write_text(_CONFIG.format(port=port, upstream=upstream, strategy=strategy))
    process = processes.start_python(
        ["tollbook.capture.gateway.worker", "--config", str(config), "--data", str(data)],
        core=machine.PROXY_CORE, environ={**os.environ, "BENCH_KEY": "k"},
    )  # fmt: skip
    first_line(process, "the gateway")
    wait_for_port(port, "the gateway")
    return port, process.pid


def _write(path: Path, request: Asked) -> None:
    headers = {**request_headers(1), "x-api-key": "k", "x-goog-api-key": "k"}
    with path.open("wb") as file:
        file.write(f"{request.path} {len(headers)} {len(request.body)}\n".encode())
        for name, value in headers.items():
            file.write(f"{name}: {value}\n".encode())
        file.write(request.body)
